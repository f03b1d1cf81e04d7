package examples_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/farforge/farforge/examples/internal/launch"
)

var soakTime = flag.Duration("soak", 10*time.Second, "run TestSoak for this time; `make soak` sets an hour")

// TestSoak runs mixed jobs from several clients while it kills brokers, agents
// and clients at random moments. Every client that was not killed must end in the
// right result or in a clear error. At the end no process, workspace, mount or
// half-received folder may be left, and memory must not have grown.
//
//	|──── kills of broker, agents and clients ────|── kills of clients only ──|
//	0                                            2/3  memory is measured      1
func TestSoak(t *testing.T) {
	const workers = 4
	s := &soak{farm: newFarm(t, "bench-1", "bench-2"), outcomes: map[string]int{}, seed: uint64(time.Now().UnixNano())}
	t.Logf("seed %d", s.seed)
	addr := strings.TrimPrefix(s.url, "http://")
	end := time.Now().Add(*soakTime)
	calm := time.Now().Add(*soakTime * 2 / 3)

	var running sync.WaitGroup
	for i := range workers {
		running.Go(func() { s.work(i, end) })
	}
	rng := rand.New(rand.NewPCG(s.seed, 0))
	kills := map[string]int{}
	for time.Now().Before(calm) && !t.Failed() {
		time.Sleep(upTo(rng, *soakTime/20+time.Second)) // the moment of a kill is random
		switch victim := rng.IntN(3); victim {
		case 0:
			kills["broker"]++
			s.broker.Stop(t, os.Kill)
			s.broker = start(t, "broker", s.brokerArgs(addr)...)
			s.broker.WaitFor(t, "listening on ")
		default:
			kills["agent"]++
			s.agents[victim-1].Stop(t, os.Kill)
			s.startAgent(victim - 1)
		}
	}
	for _, a := range s.agents {
		a.WaitFor(t, "enrolled")
	}
	before := s.memory()
	for time.Now().Before(end) && !t.Failed() {
		time.Sleep(min(time.Until(end), time.Second))
	}
	running.Wait()
	after := s.memory()

	t.Logf("kills: %v and %d clients; outcomes:", kills, s.killed.Load())
	for _, outcome := range slices.Sorted(maps.Keys(s.outcomes)) {
		t.Logf("%6d %s", s.outcomes[outcome], outcome)
	}
	for name, b := range before {
		t.Logf("%s: %d KiB after the last kill, %d KiB at the end", name, b, after[name])
		// A Go process returns memory late, so a short run proves little: an
		// hour's run is the one that counts.
		if allowed := b*3/2 + 32<<10; after[name] > allowed {
			t.Errorf("%s has grown from %d KiB to %d KiB", name, b, after[name])
		}
	}
	s.checkLeftovers(workers)
}

// soak is a farm under random jobs and kills.
type soak struct {
	*farm
	seed   uint64
	killed atomic.Int64

	mu       sync.Mutex
	outcomes map[string]int // by kind of job and exit code
}

func (s *soak) startAgent(i int) {
	name := fmt.Sprintf("bench-%d", i+1)
	s.agents[i] = start(s.t, "proxy-agent", "run", "--url", s.url, "--state-dir", s.path(name), "--name", name)
}

// work builds one project after the other in the same folders, as a user does.
func (s *soak) work(worker int, end time.Time) {
	rng := rand.New(rand.NewPCG(s.seed, uint64(worker)+1))
	text := fmt.Sprintf("greeting of worker %d.", worker)
	good := s.project(fmt.Sprint("good-", worker), map[string]func(string) string{
		"main.c": func(c string) string {
			return strings.Replace(c, "built far away and flashed right here.", text, 1)
		},
	})
	broken := s.project(fmt.Sprint("broken-", worker), map[string]func(string) string{
		"main.c": func(c string) string { return c + "\nint broken( {\n" },
	})
	slow, _ := s.slowProject(fmt.Sprint("slow-", worker))
	for time.Now().Before(end) && !s.t.Failed() {
		ctx, cancel := context.WithCancel(s.t.Context())
		stop := time.AfterFunc(upTo(rng, 4*time.Second), cancel)
		switch kind := rng.IntN(6); kind {
		case 0:
			s.expect(ctx, "stopped", "", 130, "build", slow)
		case 1:
			stop.Stop()
			s.expect(ctx, "timeout", "", 1, "build", slow, "--timeout", "2s")
		case 2:
			stop.Stop()
			s.expect(ctx, "compile error", "", 1, "build", broken)
		case 3:
			s.kill(ctx, "build", good)
		default:
			stop.Stop()
			s.expect(ctx, "good", text, 0, "build", good)
		}
		cancel()
	}
	// The next client in a folder removes what a killed one left there.
	s.expect(s.t.Context(), "last", text, 0, "build", good)
}

// upTo returns a random duration below most.
func upTo(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(most)))
}

// expect runs a client and checks that it ends as it should, or with an error
// that blames the broker or the agent, which may have been killed.
func (s *soak) expect(ctx context.Context, kind, text string, code int, args ...string) {
	// No fault may cost a client more than this.
	hung := time.AfterFunc(3*time.Minute, func() { s.t.Errorf("client %v has not ended after 3 minutes", args) })
	got := s.client(ctx, append(args, "--cores", "1")...)
	hung.Stop()
	s.mu.Lock()
	s.outcomes[fmt.Sprintf("%s: exit code %d", kind, got.code)]++
	s.mu.Unlock()
	switch {
	case got.code == code && text != "":
		image, err := os.ReadFile(filepath.Join(args[1], ".farforge", "out", "hello.bin"))
		if err != nil || !bytes.Contains(image, []byte(text)) {
			s.t.Errorf("%s: a wrong image after exit code 0: %v\n%s", kind, err, got.stderr)
		}
	case got.code == code:
	case got.code == 3, got.code == 4, got.code == 5:
		if !strings.Contains(got.stderr, "error: ") {
			s.t.Errorf("%s: exit code %d without an error:\n%s", kind, got.code, got.stderr)
		}
	default:
		s.t.Errorf("%s: exit code %d, want %d\n%s", kind, got.code, code, got.stderr)
	}
}

// kill runs a client and kills it when ctx ends.
func (s *soak) kill(ctx context.Context, args ...string) {
	cmd := s.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &launch.Log{}, &launch.Log{}
	cmd.Cancel = func() error {
		s.killed.Add(1)
		return cmd.Process.Signal(syscall.SIGKILL)
	}
	_ = cmd.Run() // any end is right
}

// memory returns the resident memory of the broker and the agents in KiB.
func (s *soak) memory() map[string]int {
	found := map[string]int{}
	for name, p := range map[string]*launch.Process{"broker": s.broker, "bench-1": s.agents[0], "bench-2": s.agents[1]} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
		if err != nil {
			s.t.Fatalf("%s has ended: %v", name, err)
		}
		for line := range strings.Lines(string(data)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				var kib int
				if _, err := fmt.Sscan(rest, &kib); err != nil {
					s.t.Fatal(err)
				}
				found[name] = kib
			}
		}
	}
	return found
}

func (s *soak) checkLeftovers(workers int) {
	t := s.t
	eventually(t, "no build is running", func() bool {
		return running(t, s.path("bench-1")+"/workspaces/")+running(t, s.path("bench-2")+"/workspaces/") == 0
	})
	for _, name := range []string{"bench-1", "bench-2"} {
		var left []string
		if eventuallyEmpty(func() []string { left, _ = filepath.Glob(s.path(name) + "/workspaces/*/"); return left }) {
			continue
		}
		t.Errorf("%s keeps %q", name, left)
	}
	for i := range workers {
		left, err := filepath.Glob(s.path(fmt.Sprint("good-", i)) + "/.farforge/incoming-*")
		if err != nil || len(left) > 0 {
			t.Errorf("client %d keeps %q, %v", i, left, err)
		}
	}
	if runtime.GOOS == "linux" {
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil || bytes.Contains(mounts, []byte(s.dir)) {
			t.Errorf("mounts are left: %v\n%s", err, mounts)
		}
	}
}

// eventuallyEmpty reports whether the list becomes empty within a while.
func eventuallyEmpty(list func() []string) bool {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if len(list()) == 0 {
			return true
		}
	}
	return false
}
