//go:build unix

package activation

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// childEnv makes the test binary a service that a manager starts.
const childEnv = "FARFORGE_ACTIVATION_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child serves one connection on each socket, with the socket's name.
func child() error {
	s, err := Take()
	if err != nil {
		return err
	}
	if os.Getenv("LISTEN_FDS") != "" || os.Getenv("LISTEN_PID") != "" {
		return fmt.Errorf("the variables stay for children")
	}
	named := s.Named("http")
	if s.Named("http") != nil {
		return fmt.Errorf("one socket was returned twice")
	}
	rest, err := s.Rest()
	if err != nil {
		return err
	}
	for text, l := range map[string]net.Listener{"http": named, "rest": rest} {
		if l == nil {
			fmt.Println(text, "is not there")
			continue
		}
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		if _, err := io.WriteString(conn, text); err != nil {
			return err
		}
		if err := conn.Close(); err != nil {
			return err
		}
	}
	return s.Close()
}

// start runs the child with sockets, as sh gives it its own pid.
func start(t *testing.T, pid, names string, listeners ...*net.TCPListener) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=`+pid+` exec "$0"`, self)
	cmd.Env = append(os.Environ(), childEnv+"=1", fmt.Sprint("LISTEN_FDS=", len(listeners)), "LISTEN_FDNAMES="+names)
	for _, l := range listeners {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	cmd.Stderr = os.Stderr
	return cmd
}

func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestSocketsAreTakenByName(t *testing.T) {
	api, http := listen(t), listen(t)
	for _, order := range []struct {
		names     string
		listeners []*net.TCPListener
	}{
		{"broker.socket:http", []*net.TCPListener{api, http}},
		{"http:api", []*net.TCPListener{http, api}},
	} {
		cmd := start(t, "$$", order.names, order.listeners...)
		done := make(chan error, 1)
		go func() { done <- cmd.Run() }()
		conns := map[string]net.Conn{}
		for want, l := range map[string]*net.TCPListener{"http": http, "rest": api} {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			conns[want] = conn
		}
		for want, conn := range conns { // the child accepts in any order
			got, err := io.ReadAll(conn)
			if err != nil || string(got) != want {
				t.Errorf("%s: %q, %v; want %s", order.names, got, err, want)
			}
			_ = conn.Close()
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestSocketsForAnotherProcessStay(t *testing.T) {
	cmd := start(t, "1", "http", listen(t))
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "http is not there") || !strings.Contains(string(out), "rest is not there") {
		t.Errorf("%q, %v", out, err)
	}
}

// run runs the child with these variables and one descriptor that is not a
// socket. Each pid may refer to the child's own as $$.
func run(t *testing.T, pid, count string) (output string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=`+pid+` exec "$0"`, self)
	cmd.Env = append(os.Environ(), childEnv+"=1", "LISTEN_FDS="+count, "LISTEN_FDNAMES=http")
	cmd.ExtraFiles = []*os.File{f}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestADescriptorThatIsNotASocketIsRefused(t *testing.T) {
	if out, err := run(t, "$$", "1"); err == nil || !strings.Contains(out, `take socket "http" (descriptor 3)`) {
		t.Errorf("%q, %v", out, err)
	}
}

func TestWhichVariablesCount(t *testing.T) {
	for _, c := range []struct {
		pid, count string
		refused    bool
	}{
		{"", "", false}, {"$$", "", false}, {"1", "1", false}, {"x", "1", false}, {"1", "x", false},
		{"$$", "0", false}, {"$$", "x", true}, {"$$", "-1", true}, {"$$", "17", true},
	} {
		out, err := run(t, c.pid, c.count)
		if c.refused != (err != nil) || c.refused && !strings.Contains(out, "is not a number from 0 to 16") || !c.refused && !strings.Contains(out, "rest is not there") {
			t.Errorf("%+v: %q, %v", c, out, err)
		}
	}
}

func TestReady(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Ready(); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if err := Ready(); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 100)
	if n, err := manager.Read(text); err != nil || string(text[:n]) != "READY=1" {
		t.Errorf("%q, %v", text[:n], err)
	}
	t.Setenv("NOTIFY_SOCKET", path+"x")
	if err := Ready(); err == nil {
		t.Error("a missing socket of the service manager is not an error")
	}
}

func TestSocketsWithoutNames(t *testing.T) {
	s := &Sockets{names: []string{"a", "b"}, listeners: []net.Listener{listen(t), listen(t)}}
	if _, err := s.Rest(); err == nil || !strings.Contains(err.Error(), "FileDescriptorName=") {
		t.Errorf("two sockets are one: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if l, err := s.Rest(); l != nil || err != nil {
		t.Errorf("after Close: %v, %v", l, err)
	}
}
