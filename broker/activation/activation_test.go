//go:build unix

package activation

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
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
		return fmt.Errorf("the variables are left to children")
	}
	named := s.Named("http")
	if s.Named("http") != nil {
		return fmt.Errorf("a socket was given twice")
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
		for want, conn := range conns { // the child takes them in any order
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

func TestSocketsForAnotherProcessAreLeft(t *testing.T) {
	cmd := start(t, "1", "http", listen(t))
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "http is not there") || !strings.Contains(string(out), "rest is not there") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestADescriptorThatIsNoSocket(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, self)
	cmd.Env = append(os.Environ(), childEnv+"=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=http")
	cmd.ExtraFiles = []*os.File{f}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `take socket "http" (descriptor 3)`) {
		t.Errorf("%q, %v", out, err)
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		pid, count string
		want       int
		bad        bool
	}{
		{"", "", 0, false}, {"7", "", 0, false}, {"8", "1", 0, false}, {"x", "1", 0, false},
		{"7", "2", 2, false}, {"7", "x", 0, true}, {"7", "-1", 0, true}, {"7", "17", 0, true},
	} {
		got, err := parse(c.pid, c.count, 7)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
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
