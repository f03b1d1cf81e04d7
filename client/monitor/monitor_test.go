package monitor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/flash"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is a terminal that can be read during writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// session is a running monitor. The test is the board and the user.
type session struct {
	t     *testing.T
	board net.Conn
	out   *output
	keys  *io.PipeWriter
	stop  context.CancelFunc
	done  chan error
}

// start runs a monitor inside a synctest bubble.
func start(t *testing.T, o Options) *session {
	near, far := net.Pipe()
	in, keys := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	s := &session{t: t, board: far, out: &output{}, keys: keys, stop: cancel, done: make(chan error, 1)}
	o.Out = s.out
	if o.In == nil {
		o.In = in
	}
	go func() { s.done <- Run(ctx, near, o) }()
	t.Cleanup(func() { cancel(); keys.Close(); near.Close(); far.Close() })
	return s
}

func (s *session) print(text string) {
	s.t.Helper()
	if _, err := s.board.Write([]byte(text)); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

func (s *session) press(keys string) {
	s.t.Helper()
	if _, err := s.keys.Write([]byte(keys)); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

func (s *session) shows(want string) {
	s.t.Helper()
	if got := s.out.String(); got != want {
		s.t.Errorf("the terminal shows\n%q, want\n%q", got, want)
	}
}

func TestShowAndLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{Initial: []byte("boot\r\n"), RawTerminal: true})
		s.print("hello\nwor")
		s.shows("boot\r\nhello\r\nwor")
		s.print("ld\r\n50%\r100%")
		s.press("\x1d")
		if err := <-s.done; err != nil {
			t.Error(err)
		}
		s.shows("boot\r\nhello\r\nworld\r\n50%\r100%\r\n")
	})
}

func TestKeysGoToTheBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{})
		go s.keys.Write([]byte("ab\x03\x14\x14\x14\x1d"))
		got := make([]byte, 5)
		if _, err := io.ReadFull(s.board, got); err != nil || string(got) != "ab\x03\x14\x1d" {
			t.Errorf("the board got %q, %v", got, err)
		}
		s.keys.Close() // the end of the keys is not the end of the monitor
		s.print("still here")
		s.shows("still here")
		s.stop()
		if err := <-s.done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBoardThatTakesNoInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{})
		s.press("a")
		time.Sleep(sendTimeout + time.Second)
		synctest.Wait()
		s.shows("--- the board takes no input\n")
		s.press("b")
		time.Sleep(sendTimeout + time.Second)
		synctest.Wait()
		s.shows("--- the board takes no input\n--- the board takes no input\n")
		go s.keys.Write([]byte("c"))
		got := make([]byte, 2)
		if _, err := io.ReadFull(s.board, got); err != nil || string(got) != "ac" {
			t.Errorf("the board received %q, %v", got, err)
		}
		s.press("\x1d")
		if err := <-s.done; err != nil {
			t.Error(err)
		}
	})
}

func TestCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := start(t, Options{LogDir: dir})
		s.print("one\n")
		s.press("\x14y")
		s.print("two\nthree\n")
		s.press("\x14\x19")
		s.print("\x1b[31mfour\n")
		s.press("\x14l")
		s.print("fi\x1b[0mve\n\x07")
		s.press("\x14L")
		s.press("\x14i")
		s.print("six\n")
		s.press("\x14\x09\x14z\x14r")
		got := s.out.String()
		for _, want := range []string{
			"one\n--- paused; Ctrl-T Y continues\n--- continued; 2 lines were not shown\n\x1b[31mfour\n\x1b[0m--- logging to ",
			"fi\x1b[0mve\n\\x07\n--- logged to ",
			"--- there is no such command",
			"--- resetting the board\n--- the port has no modem lines",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in %q", want, got)
			}
		}
		if !regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d{3} six$`).MatchString(got) {
			t.Errorf("no time before the line: %q", got)
		}
		s.press("\x14h\x1d")
		if err := <-s.done; err != nil || !strings.Contains(s.out.String(), "---   Y  pause") {
			t.Errorf("%v; %q", err, s.out.String())
		}
		logs, _ := filepath.Glob(filepath.Join(dir, "monitor-*.log"))
		if len(logs) != 1 {
			t.Fatalf("logs: %v", logs)
		}
		st, _ := os.Stat(logs[0])
		b, _ := os.ReadFile(logs[0])
		if string(b) != "five\n\\x07" || st.Mode().Perm() != 0o600 {
			t.Errorf("the log has %q, mode %v", b, st.Mode())
		}
	})
}

// linesPort records the changes of the modem lines.
type linesPort struct {
	net.Conn
	mu    sync.Mutex
	moves string
}

func (p *linesPort) move(up, down string, on bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if on {
		p.moves += up
	} else {
		p.moves += down
	}
	return nil
}
func (p *linesPort) SetDTR(on bool) error { return p.move("D", "d", on) }
func (p *linesPort) SetRTS(on bool) error { return p.move("R", "r", on) }

func TestResetKeysMoveTheLines(t *testing.T) {
	for key, want := range map[string]string{"r": "dRdr", "\x10": "dRDrdr"} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			defer near.Close()
			p := &linesPort{Conn: near}
			in, keys := io.Pipe()
			defer keys.Close()
			go keys.Write([]byte("\x14" + key + "\x1d"))
			if err := Run(t.Context(), p, Options{Out: io.Discard, In: in}); err != nil {
				t.Error(err)
			}
			if p.moves != want {
				t.Errorf("the lines went %s, want %s", p.moves, want)
			}
		})
	}
}

func TestUntilText(t *testing.T) {
	const said = "aaab aaaab\nready: ok\nmore\n"
	for _, tc := range []struct{ want, shown string }{
		{"aaaab", "aaab aaaab\n"},
		{"ready", "aaab aaaab\nready: ok\n"},
		{"b\nr", "aaab aaaab\nready: ok\n"},
		{"ok\n", "aaab aaaab\nready: ok\n"},
		{"more\n", said},
	} {
		for cut := 1; cut <= len(said); cut++ {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, Options{Until: Until{Text: tc.want}, For: time.Minute})
				go func() {
					for rest := said; rest != ""; {
						n := min(cut, len(rest))
						if _, err := s.board.Write([]byte(rest[:n])); err != nil {
							return
						}
						rest = rest[n:]
					}
				}()
				if err := <-s.done; err != nil {
					t.Errorf("%q in pieces of %d: %v", tc.want, cut, err)
				}
				s.shows(tc.shown)
				s.board.Close()
			})
		}
	}
}

func TestUntilTextDoesNotWaitForItsLineForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{Until: Until{Text: "prompt>"}, For: time.Minute})
		began := time.Now()
		s.print("prompt> ")
		if err := <-s.done; err != nil || time.Since(began) > time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		s.shows("prompt> \n")
	})
}

func TestUntilLinesCountsShownLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{Until: Until{Lines: 2}, Filter: func(l string) bool { return strings.HasPrefix(l, "I ") }})
		go s.board.Write([]byte("noise\n\x1b[32mI one\x1b[0m\nnoise\nI two\nI three\n"))
		if err := <-s.done; err != nil {
			t.Error(err)
		}
		s.shows("\x1b[32mI one\x1b[0m\nI two\n")
	})
}

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{For: 5 * time.Second})
		began := time.Now()
		s.print("tick\n")
		if err := <-s.done; err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		s = start(t, Options{For: time.Second, Until: Until{Text: "never"}})
		if err := <-s.done; !errors.Is(err, ErrNotSeen) {
			t.Errorf("got %v", err)
		}
	})
}

func TestPortLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{})
		s.print("half a li")
		s.board.Close()
		err := <-s.done
		if !flash.IsKind(err, flash.KindPort) || !strings.Contains(err.Error(), "went away while watching the board") {
			t.Errorf("got %v", err)
		}
		s.shows("half a li\n")
	})
}

// TestPortComesBack loses the port twice: the monitor waits and goes on.
func TestPortComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var far net.Conn
		attempts := 0
		s := start(t, Options{Reopen: func(context.Context) (flash.Port, error) {
			if attempts++; attempts%3 != 0 {
				return nil, errors.New("not there yet")
			}
			near, other := net.Pipe()
			far = other
			return near, nil
		}})
		s.print("half a li")
		s.board.Close()
		synctest.Wait()
		s.press("k")
		s.press("\x14r")
		s.shows("half a li\n--- the port went away; waiting for it\n--- the port is away\n--- the port is away\n")
		time.Sleep(4 * reopenPause)
		synctest.Wait()
		go far.Write([]byte("again\n"))
		synctest.Wait()
		if got := s.out.String(); !strings.HasSuffix(got, "--- the port is back\nagain\n") {
			t.Errorf("the terminal shows %q", got)
		}
		far.Close()
		synctest.Wait()
		s.press("\x1d")
		if err := <-s.done; err != nil || !strings.HasSuffix(s.out.String(), "again\n--- the port went away; waiting for it\n") {
			t.Errorf("%v; the terminal shows %q", err, s.out.String())
		}
	})
}

// TestLineTo prints lines with colors, and checks that a program gets clean text.
func TestLineTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		s := start(t, Options{LineTo: func(l string) { got = append(got, l) }})
		for _, part := range []string{"he", "llo\r\nwor", "ld\n", "\x1b[0;32mI (31) boot\x1b[0m\r\n\n\x1b[31mred\x07"} {
			s.print(part)
		}
		s.press("\x14z")
		s.print(strings.Repeat("x", maxLine+5))
		s.press("\x1d")
		if err := <-s.done; err != nil {
			t.Error(err)
		}
		want := []string{"hello", "world", "I (31) boot", "", `red\x07`, "--- there is no such command; Ctrl-T H shows all", strings.Repeat("x", maxLine), "xxxxx"}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got %.200q", got)
		}
		s.shows("")
	})
}

// TestEndlessLine takes megabytes without a newline, in each mode, in bounded memory.
func TestEndlessLine(t *testing.T) {
	const size = 4 << 20
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 256)
	seen := 0
	for name, o := range map[string]Options{
		"terminal": {Out: io.Discard},
		"lines":    {LineTo: func(l string) { seen += len(l) }},
		"filter":   {Out: io.Discard, Filter: func(string) bool { return true }},
		"colors":   {Out: io.Discard, Filter: func(string) bool { return false }},
	} {
		s := newScreen(o)
		text := chunk
		if name == "colors" {
			text = bytes.Repeat([]byte("\x1b[31m"), 800)
		}
		for n := 0; n < size/4; n += len(text) {
			for _, c := range text {
				s.add(c)
			}
			s.flush()
		}
		if held := s.buf.Cap() + s.held.Cap() + s.plain.Cap(); held > 1<<20 {
			t.Errorf("%s: %d bytes are held", name, held)
		}
		s.end()
	}
	if seen < size/4 {
		t.Errorf("the lines have %d bytes", seen)
	}
}

func TestTerminalThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		defer near.Close()
		go far.Write([]byte("text"))
		err := Run(t.Context(), near, Options{Out: failing{}})
		if err == nil || !strings.Contains(err.Error(), "no room") {
			t.Errorf("got %v", err)
		}
	})
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no room") }

// TestKeysAreLeftToOthers checks that Run takes no key after it has ended.
func TestKeysAreLeftToOthers(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	defer near.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	r.Fd() // makes it blocking, as a terminal inherited from a shell is
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := Run(ctx, near, Options{Out: io.Discard, In: r}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := w.Write([]byte("k")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := r.Read(b); err != nil || b[0] != 'k' {
		t.Errorf("the key was taken: %q, %v", b, err)
	}
}
