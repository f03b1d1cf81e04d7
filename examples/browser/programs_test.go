package browser

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programs is where TestMain has built the broker and the agent.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "farforge-browser")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if out, err := exec.Command("go", "build", "-o", dir+"/", "../../broker", "../../proxy-agent").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
			return 1
		}
		programs = dir
		return m.Run()
	}())
}

// need skips a test on a machine without one of the tools.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed; `make test` installs it", tool)
		}
	}
}

// output collects what a program says.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed at the next write
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.grown != nil {
		close(o.grown)
		o.grown = nil
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await returns what follows text, up to the end of the line, once it is there.
func (o *output) await(t *testing.T, text string) string {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		o.mu.Lock()
		_, rest, found := strings.Cut(o.text.String(), text)
		line, _, whole := strings.Cut(rest, "\n")
		if o.grown == nil {
			o.grown = make(chan struct{})
		}
		grown := o.grown
		o.mu.Unlock()
		if found && whole {
			return line
		}
		select {
		case <-grown:
		case <-deadline:
			t.Fatalf("nobody said %q:\n%s", text, o)
		}
	}
}

// start runs a program, and whatever it starts, until the test ends.
func start(t *testing.T, cmd *exec.Cmd) *output {
	t.Helper()
	said := &output{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), said)
		}
	})
	return said
}

// farm starts a broker and an agent, and returns the broker's URL and its log.
func farm(t *testing.T, flags ...string) (url string, log *output) {
	t.Helper()
	dir := t.TempDir()
	state := filepath.Join(dir, "agent")
	key, err := exec.Command(filepath.Join(programs, "proxy-agent"), "keygen", "--state-dir", state, "--name", "bench-1").Output()
	if err != nil {
		t.Fatalf("keygen: %v", err)
	}
	list := filepath.Join(dir, "agents")
	if err := os.WriteFile(list, key, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--addr", "127.0.0.1:0", "--disable-tls", "--open", "--state-dir", filepath.Join(dir, "broker"),
		"--authorized-agents", list, "--log-level", "debug"}, flags...)
	log = start(t, exec.Command(filepath.Join(programs, "broker"), args...))
	url, _, _ = strings.Cut(log.await(t, "listening on "), " ")
	agent := start(t, exec.Command(filepath.Join(programs, "proxy-agent"), "run", "--url", url, "--state-dir", state, "--name", "bench-1"))
	agent.await(t, "enrolled")
	return url, log
}
