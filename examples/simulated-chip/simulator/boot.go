package simulator

import (
	"fmt"
	"strings"
	"time"
)

// reset is the start of the ROM: it clears the state, prints the banner and reads the
// strap.
func (s *session) reset(why reason, toDownload bool) {
	s.loader.abandon()
	s.loader = loader{}
	s.slip = slipDecoder{}
	s.bus.reset()
	s.baud = defaultBaud
	s.prog, s.wake = nil, time.Time{}
	s.out.discard()
	s.log.Debug("reset", "reason", int(why), "download", toDownload)
	s.console([]byte(s.model.banner + s.model.bootLine(why, toDownload)))
	if toDownload && s.faults.has(DownloadDisabled) {
		s.console([]byte(s.model.disabled))
		s.mode, s.prog = running, idle{}
		return
	}
	if toDownload {
		s.console([]byte("waiting for download\r\n"))
		s.mode = download
		return
	}
	s.mode = running
	s.prog = s.start()
	s.wake = s.cfg.Clock.Now()
}

// program runs after the ROM. It outlives a connection, so each step gets the session.
type program interface {
	// step runs until the program has nothing to do or its slice is over, and returns how
	// long to wait (zero: forever) or why it reset the chip.
	step(s *session, now time.Time) (wait time.Duration, why reason)
	// input receives bytes from the UART.
	input(p []byte)
}

// start validates the flash as the ROM does, and returns the program that runs then.
func (s *session) start() program {
	flash := s.flash.snapshot()
	if s.faults.has(FlashEncryption) {
		// Plain contents that are decrypted with an unknown key are noise.
		for i, b := range noise(int(s.model.imageOffset) + 64) {
			flash[i] ^= b
		}
	}
	img, err := s.model.check(flash)
	switch {
	case err != nil:
		return &refusal{line: err.Error() + "\r\n", every: s.cfg.InvalidHeaderInterval}
	case s.faults.has(SecureBoot):
		return &refusal{line: "secure boot verification failed\r\n", every: s.cfg.InvalidHeaderInterval}
	}
	s.console([]byte(img.bootLines()))
	if !s.model.runsCode {
		s.console([]byte(s.description(img)))
		return idle{}
	}
	return newMachine(s.bus, flash, img)
}

// description describes an image for a chip whose code is not run.
func (s *session) description(img *bootImage) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[simulation] this image is valid, but the simulation does not run the code of this chip\r\n")
	fmt.Fprintf(&b, "[simulation] %d bytes at 0x%x, entry 0x%08x, %d segments", img.size, s.model.imageOffset, img.entry, len(img.segments))
	if img.hashed {
		b.WriteString(", SHA-256 verified")
	}
	b.WriteString("\r\n")
	return b.String()
}

// refusal is the ROM without an image to boot: it prints its message until the watchdog
// resets it.
type refusal struct {
	line  string
	every time.Duration
	said  int
}

// linesPerReset is the number of messages before the watchdog resets the chip.
const linesPerReset = 8

func (r *refusal) step(s *session, _ time.Time) (time.Duration, reason) {
	if r.said == linesPerReset {
		return 0, rtcWatchdog
	}
	r.said++
	s.console([]byte(r.line))
	return r.every, stays
}

func (*refusal) input([]byte) {}

// idle is a program that prints nothing.
type idle struct{}

func (idle) step(*session, time.Time) (time.Duration, reason) { return 0, stays }
func (idle) input([]byte)                                     {}
