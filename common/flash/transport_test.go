//go:build unix

package flash_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/serialport"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// serve connects the chip to a port, and returns the name of the port.
type serve func(t *testing.T, chip *simulator.Chip) (name string)

func overTCP(t *testing.T, chip *simulator.Chip) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inBackground(t, func(ctx context.Context) error { return chip.ServeListener(ctx, l) })
	return "tcp://" + l.Addr().String()
}

func overPTY(t *testing.T, chip *simulator.Chip) string {
	pty, err := simulator.OpenPTY()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pty.Close() })
	inBackground(t, func(ctx context.Context) error { return chip.Serve(ctx, pty) })
	return pty.Name()
}

// inBackground runs f until the test ends, and waits for it.
func inBackground(t *testing.T, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func TestRealTransports(t *testing.T) {
	for name, open := range map[string]serve{"tcp": overTCP, "pseudo-terminal": overPTY} {
		for _, kind := range bothChips {
			t.Run(name+" "+kind, func(t *testing.T) {
				chip, err := simulator.New(simulator.Config{Chip: kind, Strap: simulator.Download})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				port, err := serialport.Open(ctx, open(t, chip), flash.DefaultBaud)
				if err != nil {
					t.Fatal(err)
				}
				defer port.Close()
				d, err := flash.Connect(ctx, port, flash.Options{Baud: 460800})
				if err != nil {
					t.Fatal(err)
				}
				m, files := firmware(kind, 60_000)
				if _, err := d.WriteMap(ctx, m, files, flash.WriteOptions{}); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(d.Finish(ctx, flash.HardReset), d.Close()); err != nil {
					t.Fatal(err)
				}
				wantInFlash(t, board{chip: chip}, m, files)
				// The same open port goes on to the monitor.
				readUntil(t, port, d.Tail(), "SPI_FAST_FLASH_BOOT")
			})
		}
	}
}

func TestOpenPortErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "ttyUSB0")
	_, err := serialport.Open(t.Context(), missing, flash.DefaultBaud)
	if !flash.IsKind(err, flash.KindPort) || !strings.Contains(err.Error(), "cannot open port "+missing+": there is no such port") {
		t.Errorf("got %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, err = serialport.Open(t.Context(), "tcp://"+address, flash.DefaultBaud)
	var e *flash.Error
	if !errors.As(err, &e) || e.Kind != flash.KindPort || !strings.Contains(e.Hint, address) {
		t.Errorf("got %v", err)
	}
}

// TestPortThatIsNotAChip uses a socket that accepts all bytes and sends none.
func TestPortThatIsNotAChip(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port, err := serialport.Open(t.Context(), "tcp://"+l.Addr().String(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	_, err = flash.Connect(t.Context(), port, flash.Options{Timeout: 300 * time.Millisecond})
	if !flash.IsKind(err, flash.KindNoLoader) || !strings.Contains(err.Error(), "no board answered on the port in 300ms") {
		t.Errorf("got %v", err)
	}
}
