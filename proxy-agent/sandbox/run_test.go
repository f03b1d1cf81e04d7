//go:build unix

package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestExitCodePassesThrough(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		for text, want := range map[string]int{
			"true": 0, "exit 3": 3, "exit 1": 1, "kill -TERM $$": 128 + 15, "no-such-command": 127,
		} {
			if got := script(t, sb, text).ExitCode; got != want {
				t.Errorf("%q: exit code %d, want %d", text, got, want)
			}
		}
	})
}

func TestCommandThatDoesNotExist(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		r := script(t, sb, "", func(s *Spec) { s.Argv = []string{"no-such-compiler"} })
		if r.ExitCode != 127 || !strings.Contains(r.stderr, "no-such-compiler") {
			t.Errorf("got %d and %q, want 127 and the command's name", r.ExitCode, r.stderr)
		}
	})
}

func TestArgumentsAreNotReadByAShell(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		want := "a b|$HOME|;exit 7|*|"
		r := script(t, sb, "", func(s *Spec) {
			s.Argv = []string{"printf", "%s|", "a b", "$HOME", ";exit 7", "*"}
		})
		if strings.TrimSpace(r.stdout) != want {
			t.Errorf("got %q, want %q", r.stdout, want)
		}
	})
}

func TestWorkspaceIsWhereTheCommandStartsAndWrites(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "in"), []byte("seen"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := script(t, sb, "cat in && echo made > out", func(s *Spec) { s.Dir = dir })
		made, err := os.ReadFile(filepath.Join(dir, "out"))
		if r.stdout != "seen\n" || err != nil || string(made) != "made\n" {
			t.Errorf("read %q; out is %q, %v", r.stdout, made, err)
		}
	})
}

func TestCacheIsASecondPlaceToWrite(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		cache := t.TempDir()
		use := func(s *Spec) { s.Cache = cache }
		script(t, sb, "echo kept > "+sb.CachePath(cache)+"/file", use)
		if data, err := os.ReadFile(filepath.Join(cache, "file")); err != nil || string(data) != "kept\n" {
			t.Errorf("the cache holds %q, %v", data, err)
		}
		if r := script(t, sb, "cat "+sb.CachePath(cache)+"/file", use); r.stdout != "kept\n" {
			t.Errorf("the next job reads %q, %q", r.stdout, r.stderr)
		}
		if _, err := tryScript(t.Context(), t, sb, "true", func(s *Spec) { s.Cache = "relative" }); err == nil {
			t.Error("a relative path was taken")
		}
	})
}

func TestEnvironmentIsFixed(t *testing.T) {
	t.Setenv("AGENT_SECRET", "hunter2")
	both(t, func(t *testing.T, sb Sandbox) {
		r := script(t, sb, "env", func(s *Spec) { s.Env = map[string]string{"IDF_PATH": "/opt/idf", "LANG": "C"} })
		for _, want := range []string{"IDF_PATH=/opt/idf\n", "LANG=C\n", "SOURCE_DATE_EPOCH=315532800\n", "USER=build\n"} {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("%q is missing from\n%s", want, r.stdout)
			}
		}
		if strings.Contains(r.stdout, "hunter2") {
			t.Error("the agent's environment reaches the build")
		}
	})
}

func TestCancelKillsTheWholeTree(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		mark := "farforge-test-" + itoa(os.Getpid()) + "-" + sb.Name()
		why := errors.New("the client went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		// Children, grandchildren in the background, and one that ignores TERM.
		text := `sh -c 'sh -c "sleep 1000; :" ` + mark + ` & sleep 1000; :' ` + mark + ` &
			sh -c 'trap "" TERM HUP; echo up; while :; do sleep 1; done' ` + mark + ` & wait`
		_, err := tryScript(ctx, t, sb, text, func(s *Spec) {
			s.Output = func(Line) {
				if len(alive(t, mark)) == 0 {
					t.Error("this test starts nothing that could be left")
				}
				cancel(why)
			}
		})
		if !errors.Is(err, why) {
			t.Errorf("got error %v, want the cause of the cancel", err)
		}
		if left := alive(t, mark); len(left) > 0 {
			t.Errorf("still running after Run returned:\n%s", strings.Join(left, "\n"))
		}
	})
}

func TestNothingOutlivesACommandThatEnds(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		mark := "farforge-test-" + itoa(os.Getpid()) + "-left-" + sb.Name()
		began := time.Now()
		r := script(t, sb, `sh -c 'sleep 1000; :' `+mark+` & echo done`)
		if r.ExitCode != 0 || r.stdout != "done\n" {
			t.Errorf("got %+v", r)
		}
		if time.Since(began) > 20*time.Second {
			t.Error("waited for a background process")
		}
		if left := alive(t, mark); len(left) > 0 {
			t.Errorf("still running:\n%s", strings.Join(left, "\n"))
		}
	})
}

func TestWallClockEndsAnEndlessCommand(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := tryScript(ctx, t, sb, "while :; do :; done"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
	})
}

func TestCanceledBeforeStart(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := tryScript(ctx, t, sb, "touch ran"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestLimitsHold(t *testing.T) {
	both(t, func(t *testing.T, sb Sandbox) {
		t.Run("memory", func(t *testing.T) {
			r := script(t, sb, "head -c 400000000 /dev/zero | tail >/dev/null", func(s *Spec) {
				s.Limits.MemoryBytes = 100 << 20
			})
			if r.ExitCode == 0 || !strings.Contains(r.stderr, "memory") && !r.OutOfMemory {
				t.Errorf("400 MB fitted into 100 MiB: %d, %q", r.ExitCode, r.stderr)
			}
		})
		t.Run("file size", func(t *testing.T) {
			dir := t.TempDir()
			r := script(t, sb, "head -c 1000000 /dev/zero > big", func(s *Spec) {
				s.Limits.FileBytes, s.Dir = 64<<10, dir
			})
			info, err := os.Stat(filepath.Join(dir, "big"))
			if err != nil || info.Size() > 64<<10 || r.ExitCode == 0 {
				t.Errorf("exit %d, file %v, %v", r.ExitCode, info, err)
			}
		})
		t.Run("CPU time", func(t *testing.T) {
			r := script(t, sb, "while :; do :; done", func(s *Spec) { s.Limits.CPUTime = time.Second })
			if r.ExitCode < 128 {
				t.Errorf("exit code %d, want death by signal", r.ExitCode)
			}
		})
		t.Run("no core files", func(t *testing.T) {
			if r := script(t, sb, "ulimit -c"); r.stdout != "0\n" {
				t.Errorf("core limit %q", r.stdout)
			}
		})
	})
}

func writeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Error(err)
	}
}
