package portio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a port whose Read only Close ends.
type pipes struct {
	*io.PipeReader
	*io.PipeWriter
}

func (p pipes) Close() error { return errors.Join(p.PipeReader.Close(), p.PipeWriter.Close()) }

func TestCloseGivesThePortBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		w, err := Open(near)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []byte("abc") {
			if _, err := far.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		if got := <-w.Chunks(); string(got) != "a" {
			t.Errorf("got %q", got)
		}
		synctest.Wait()
		rest, err := w.Close()
		if string(rest) != "bc" || err != nil {
			t.Errorf("rest %q, %v", rest, err)
		}
		go far.Write([]byte("d"))
		b := make([]byte, 1)
		if _, err := near.Read(b); err != nil || b[0] != 'd' {
			t.Errorf("the port cannot be used any more: %q, %v", b, err)
		}
		near.Close()
		far.Close()
	})
}

func TestPortThatOnlyCloseInterrupts(t *testing.T) {
	r, _ := io.Pipe()
	_, p := io.Pipe()
	w, err := Open(pipes{r, p})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.ErrClosedPipe {
		t.Errorf("the port was left open: %v", err)
	}
}

func TestWriteThatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		defer near.Close()
		w, err := Open(near)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Write(ctx, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		again, cancelAgain := context.WithTimeout(t.Context(), time.Second)
		defer cancelAgain()
		if err := w.Write(again, []byte("y")); !errors.Is(err, ErrStalled) || errors.Is(err, ErrLost) {
			t.Errorf("second write: %v", err)
		}
		if _, err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestWriteAfterAStalledOne lets the port take a stalled write late: the next
// write goes through.
func TestWriteAfterAStalledOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		defer near.Close()
		l, err := Open(near)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Write(ctx, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		got := make(chan string)
		go func() {
			b := make([]byte, 2)
			_, err := io.ReadFull(far, b)
			if err != nil {
				t.Error(err)
			}
			got <- string(b)
		}()
		if err := l.Write(t.Context(), []byte("y")); err != nil {
			t.Errorf("the write after the stalled one: %v", err)
		}
		if s := <-got; s != "xy" {
			t.Errorf("the board received %q", s)
		}
		if _, err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestWriteThatIsTakenLateLeavesThePortOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, mine := io.Pipe()
		theirs, p := io.Pipe()
		w, err := Open(slow{pipes{r, p}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Write(ctx, []byte("x")); err == nil {
			t.Error("the write ended")
		}
		go func() {
			time.Sleep(grace / 2)
			theirs.Read(make([]byte, 1))
			mine.Write([]byte("z")) // lets the waiting Read see that it is over
		}()
		rest, err := w.Close()
		if err != nil || !bytes.Equal(rest, []byte("z")) {
			t.Errorf("rest %q, %v", rest, err)
		}
	})
}

// slow has read time-outs in name only, so that Close does not close it.
type slow struct{ pipes }

func (slow) SetReadTimeout(time.Duration) error { return nil }

func TestLostPort(t *testing.T) {
	near, far := net.Pipe()
	w, err := Open(near)
	if err != nil {
		t.Fatal(err)
	}
	far.Close()
	if _, ok := <-w.Chunks(); ok {
		t.Error("a chunk from a port that is gone")
	}
	if err := w.Err(); !errors.Is(err, ErrLost) || !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
	if err := w.Write(t.Context(), []byte("x")); !errors.Is(err, ErrLost) {
		t.Errorf("write: %v", err)
	}
	w.Close()
}
