package simulator

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestPortReadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := rom(t, Config{Chip: "esp32"})
		h.port.SetReadTimeout(250 * time.Millisecond)
		began := time.Now()
		if n, err := h.port.Read(make([]byte, 8)); n != 0 || err != nil || time.Since(began) != 250*time.Millisecond {
			t.Errorf("read %d, %v after %v; want 0, nil after 250ms", n, err, time.Since(began))
		}
		if err := h.port.SetReadTimeout(-2); err == nil {
			t.Error("a negative timeout was taken")
		}
		if n, err := h.port.Read(nil); n != 0 || err != nil {
			t.Errorf("empty read: %d, %v", n, err)
		}
		h.port.Close()
	})
}

func TestPortCloseEndsReadAndWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := rom(t, Config{Chip: "esp32"})
		h.port.SetReadTimeout(NoTimeout)
		read := make(chan error)
		go func() {
			_, err := h.port.Read(make([]byte, 8))
			read <- err
		}()
		synctest.Wait()
		h.port.Close()
		if err := <-read; err != io.EOF {
			t.Errorf("read ended with %v, want EOF", err)
		}
		for what, err := range map[string]error{
			"write": second(h.port.Write([]byte("x"))), "SetDTR": h.port.SetDTR(true), "SetRTS": h.port.SetRTS(true),
			"SetBaudRate": h.port.SetBaudRate(9600), "ResetInputBuffer": h.port.ResetInputBuffer(),
		} {
			if !errors.Is(err, ErrPortClosed) {
				t.Errorf("%s on a closed port: %v", what, err)
			}
		}
		if err := h.port.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
	})
}

func second(_ int, err error) error { return err }

func TestAnotherBaudRateIsNoise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := rom(t, Config{Chip: "esp32"})
		h.want(ChangeBaud, words(460800, 0), 0, ok)
		h.send(ReadReg, 0, words(0x40001000))
		if !h.quiet() {
			t.Error("the chip understood 115200 after it was set to 460800")
		}
		h.port.SetReadTimeout(10 * time.Second)
		h.port.SetBaudRate(460800)
		if got := h.read(0x40001000); got != 0x00F01D83 {
			t.Errorf("at 460800: %#x", got)
		}
		// A reset sets the chip back to 115200 baud: the host receives noise.
		h.hardReset()
		synctest.Wait()
		if p := h.more(); bytes.Contains(p, []byte("ets")) {
			t.Errorf("at another rate the banner reads %q", p)
		}
		h.port.SetBaudRate(115200)
		h.until("invalid header: 0xffffffff\r\n")
		h.port.Close()
	})
}

func TestChipKeepsItsStateBetweenPorts(t *testing.T) {
	chip, h := rom(t, Config{Chip: "esp32"})
	h.loadStub("esp32")
	h.port.Close()
	h2 := &host{t: t, port: chip.Port()}
	defer h2.port.Close()
	h2.port.SetReadTimeout(10 * time.Second)
	h2.want(EraseRegion, words(0, 0x1000), 0, ok)
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, ErrBusy) {
			t.Errorf("a second port at once: %v", err)
		}
	}()
	chip.Port()
}

func TestApplicationGoesOnAtTheNextConnection(t *testing.T) {
	for name, cfg := range map[string]Config{
		"complaints": {Chip: "esp32"},
		"program":    {Chip: "esp32c3", Flash: compile(t, "TEST_TICKS")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, next := "invalid header: 0xffffffff\r\n", "invalid header: 0xffffffff\r\n"
				if cfg.Flash != nil {
					first, next = "tick 1\r\n", "tick 2\r\n"
				}
				chip, h := open(t, cfg)
				h.until(first)
				h.port.Close()
				h2 := &host{t: t, port: chip.Port()}
				h2.port.SetReadTimeout(10 * time.Second)
				if text := h2.until(next); text != next {
					t.Errorf("the second connection begins with %q, want %q: no new boot", text, next)
				}
				h2.port.Close()
			})
		})
	}
}

func TestChipLeftInResetComesBackWithTheNextConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip, h := open(t, Config{Chip: "esp32"})
		h.port.SetDTR(false)
		h.port.SetRTS(true)
		h.port.Close()
		h2 := &host{t: t, port: chip.Port()}
		h2.port.SetReadTimeout(10 * time.Second)
		h2.until("SPI_FAST_FLASH_BOOT")
		h2.port.Close()
	})
}
