//go:build unix

package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if name := os.Getenv("FARFORGE_ATTACK"); name != "" { // inside a sandbox; see attack_linux_test.go
		attack(name)
	}
	goleak.VerifyTestMain(m)
}

// bubblewrap returns a working Bubblewrap, or skips the test.
func bubblewrap(t *testing.T) *Bubblewrap {
	t.Helper()
	b := NewBubblewrap(t.Context())
	if err := b.Check(t.Context()); err != nil {
		t.Skipf("no usable bubblewrap here: %v", err)
	}
	return b
}

// both runs a test in each sandbox.
func both(t *testing.T, test func(t *testing.T, sb Sandbox)) {
	t.Run("none", func(t *testing.T) { test(t, None{}) })
	t.Run("bubblewrap", func(t *testing.T) { test(t, bubblewrap(t)) })
}

// ran is the result of a script and both its streams.
type ran struct {
	Result
	stdout, stderr string
	lines          []Line
}

// script runs a shell script, which must come to its end.
func script(t *testing.T, sb Sandbox, text string, change ...func(*Spec)) ran {
	t.Helper()
	r, err := tryScript(t.Context(), t, sb, text, change...)
	if err != nil {
		t.Fatalf("run: %v\n%s", err, r.stderr)
	}
	return r
}

func tryScript(ctx context.Context, t *testing.T, sb Sandbox, text string, change ...func(*Spec)) (ran, error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("the test's own time is up"))
	defer cancel()
	var r ran
	var mu sync.Mutex
	spec := Spec{Dir: t.TempDir(), Argv: []string{"sh", "-c", text}, Output: func(l Line) {
		mu.Lock()
		defer mu.Unlock()
		r.lines = append(r.lines, l)
		if l.Stream == Stdout {
			r.stdout += l.Text + "\n"
		} else {
			r.stderr += l.Text + "\n"
		}
	}}
	for _, c := range change {
		c(&spec)
	}
	var err error
	r.Result, err = sb.Run(ctx, spec)
	return r, err
}

// alive returns the processes on this machine whose command line has the mark.
func alive(t *testing.T, mark string) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(paths) == 0 {
		t.Skip("this test counts processes in /proc")
	}
	var found []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(data), mark) && !strings.Contains(path, "/"+itoa(os.Getpid())+"/") {
			found = append(found, path+": "+strings.ReplaceAll(string(data), "\x00", " "))
		}
	}
	return found
}
