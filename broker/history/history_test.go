package history

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/broker/scheduler"
)

var now = time.Unix(1_700_000_000, 123)

func result(agent string, i int) scheduler.Result {
	return scheduler.Result{
		Agent: agent, Target: "esp32c3", Toolchain: "esp-idf", Project: uint64(i) << 32,
		Verdict: scheduler.Built, Warmth: scheduler.Warmth(i % 3), Took: time.Duration(i) * time.Second, At: now.Add(time.Duration(i) * time.Minute),
	}
}

func mustOpen(t *testing.T, path string, at time.Time) *Store {
	t.Helper()
	s, err := Open(path, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func all(t *testing.T, s *Store) []scheduler.Result {
	t.Helper()
	r, unread, err := s.Results()
	if err != nil || unread != 0 {
		t.Fatalf("%d unread, %v", unread, err)
	}
	return r
}

func TestKeepsTheLastOfEachAgentOverRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := mustOpen(t, path, now)
	var wg sync.WaitGroup
	for _, agent := range []string{"SHA256:a", "SHA256:b"} {
		for i := range 100 {
			if agent == "SHA256:b" && i >= 3 {
				break
			}
			if err := s.Add(result(agent, i)); err != nil { // one after the other: the order counts
				t.Fatal(err)
			}
		}
	}
	for i := range 20 { // concurrently
		wg.Go(func() {
			if err := s.Add(result("SHA256:c", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	count := map[string]int{}
	last := time.Time{}
	for _, r := range all(t, mustOpen(t, path, now)) {
		count[r.Agent]++
		if r.At.Before(last) {
			t.Error("not in the order of time")
		}
		last = r.At
		i := int(r.Took / time.Second)
		if w := result(r.Agent, i); r != w {
			t.Errorf("%+v, want %+v", r, w)
		}
		if r.Agent == "SHA256:a" && i < 100-PerAgent {
			t.Errorf("result %d of 100 is still there", i)
		}
	}
	if count["SHA256:a"] != PerAgent || count["SHA256:b"] != 3 || count["SHA256:c"] != 20 {
		t.Errorf("%v", count)
	}
}

func TestForgetsAndShrinks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := mustOpen(t, path, now)
	var wg sync.WaitGroup
	for a := range 400 {
		wg.Go(func() {
			for i := range 40 {
				r := result(fmt.Sprint("SHA256:agent", a), i)
				r.Target = strings.Repeat("x", 200)
				for err := s.Add(r); err != nil; err = s.Add(r) {
					if !errors.Is(err, ErrQueueFull) || s.Flush() != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(scheduler.Result{Agent: "SHA256:young", Verdict: scheduler.Failed, At: now.Add(MaxAge)}); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	before, _ := os.Stat(path)
	s = mustOpen(t, path, now.Add(MaxAge+2*time.Hour))
	if got := all(t, s); len(got) != 1 || got[0].Agent != "SHA256:young" {
		t.Errorf("%d are left", len(got))
	}
	after, err := os.Stat(path)
	if err != nil || before.Size() < 2<<20 || after.Size() > before.Size()/8 {
		t.Errorf("%d bytes before, %d after, %v", before.Size(), after.Size(), err)
	}
	if err := s.Add(result("SHA256:new", 1)); err != nil {
		t.Error(err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	mustOpen(t, path, now)
	if _, err := Open(path, now); err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("%v", err)
	}
}

const childEnv = "HISTORY_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		child(path)
	}
	goleak.VerifyTestMain(m)
}

// child adds results without end and prints a line for each stored one.
func child(path string) {
	s, err := Open(path, now)
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		if err := errors.Join(s.Add(result("SHA256:a", i)), s.Flush()); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println("stored", i)
	}
}

// TestSurvivesKill kills a writing process with SIGKILL, several times. Each result
// that it has printed as stored must be in the file.
func TestSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	for round := range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last, lines := -1, bufio.NewScanner(out)
		for lines.Scan() {
			if _, err := fmt.Sscanf(lines.Text(), "stored %d", &last); err != nil {
				t.Fatalf("the child printed: %s", lines.Text())
			}
			if last == 10+3*round {
				_ = cmd.Process.Kill() // the loop still reads what it has printed
			}
		}
		_ = cmd.Wait()
		s := mustOpen(t, path, now)
		found := false
		for _, r := range all(t, s) {
			found = found || r == result("SHA256:a", last)
		}
		if !found {
			t.Errorf("round %d: result %d was stored and is missing", round, last)
		}
		_ = s.Close()
	}
}

// TestAddDoesNotWaitForTheDisk holds the file's write lock, as a slow disk does.
func TestAddDoesNotWaitForTheDisk(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "history.db"), now)
	slow, err := s.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for err = nil; err == nil; kept++ { // a waiting Add would never return
		err = s.Add(result("SHA256:a", kept))
	}
	if kept--; !errors.Is(err, ErrQueueFull) || kept < maxQueued {
		t.Errorf("after %d results: %v", kept, err)
	}
	if err := slow.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := all(t, s); len(got) != PerAgent || got[PerAgent-1] != result("SHA256:a", kept-1) {
		t.Errorf("%d results are stored; the last is %+v", len(got), got[len(got)-1])
	}
}

// TestFailedWritesAreReported once, by the next call.
func TestFailedWritesAreReported(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "history.db"), now)
	_ = s.db.Close()
	if err := s.Add(result("SHA256:a", 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err == nil || !strings.Contains(err.Error(), "write results to the history") {
		t.Errorf("%v", err)
	}
	if err := s.Flush(); err != nil {
		t.Errorf("the same error was returned twice: %v", err)
	}
	if err := s.Add(result("SHA256:a", 2)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "write results to the history") {
		t.Errorf("%v", err)
	}
	if err := s.Add(result("SHA256:a", 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Flush(); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestCloseWritesWhatWasAdded, including results that are added concurrently without
// an error.
func TestCloseWritesWhatWasAdded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := mustOpen(t, path, now)
	var wg sync.WaitGroup
	var kept atomic.Int64
	for g := range 4 {
		wg.Go(func() {
			for i := range PerAgent {
				if s.Add(result(fmt.Sprint("SHA256:", g), i)) == nil {
					kept.Add(1)
				}
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if got := all(t, mustOpen(t, path, now)); len(got) != int(kept.Load()) {
		t.Errorf("%d of %d are stored", len(got), kept.Load())
	}
}

func FuzzDecode(f *testing.F) {
	r := result("", 7)
	f.Add(encode(&r))
	f.Add([]byte{})
	f.Add([]byte{version, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'x', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err != nil {
			return
		}
		again, err := decode(encode(&r))
		if err != nil || again != r || !bytes.Equal(encode(&again), encode(&r)) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}
