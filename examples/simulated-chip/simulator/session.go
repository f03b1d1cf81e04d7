package simulator

import (
	"context"
	"io"
	"time"
)

// enRise bounds how long the chip waits for the strap while EN rises and both
// lines are asserted. A board's capacitor gives one to ten milliseconds; the
// simulation is generous because a busy host may pause between two calls.
const enRise = 100 * time.Millisecond

const defaultBaud = 115200

// lines is the state of the host's modem lines, true meaning asserted.
type lines struct{ dtr, rts bool }

// enable and strapLow are the auto-reset circuit's truth table.
func (l lines) enable() bool   { return !(l.rts && !l.dtr) }
func (l lines) strapLow() bool { return l.dtr && !l.rts }

// event is one input that reaches the chip over its cable.
type event struct {
	data  []byte
	lines *lines // nil: no change
	baud  int    // the host's rate when it sent data; zero: unknown, as fits
	err   error  // the cable is gone
}

// sink receives the chip's output.
type sink interface {
	// send delivers a loader's frame; it may wait for room.
	send(ctx context.Context, p []byte, baud int)
	// offer delivers console output, which is lost when the host does not read, as on a
	// real UART.
	offer(p []byte, baud int)
	// discard drops console output that was not delivered yet.
	discard()
}

// session is the chip while it is connected.
type session struct {
	*Chip
	ctx      context.Context
	out      sink
	events   <-chan event
	hasLines bool
	// backlog holds the events that arrived while the chip was busy: a host's writes must
	// not wait for the chip.
	backlog []event
}

// run runs the chip until the context ends (nil) or the cable is gone (its error, nil for
// io.EOF).
func (s *session) run() error {
	switch s.mode {
	case off:
		s.reset(powerOn, s.cfg.Strap == Download)
	case held, rising: // the last cable held EN low; this one does not
		s.reset(powerOn, false)
	}
	for {
		if len(s.backlog) > 0 && s.ctx.Err() == nil {
			ev := s.backlog[0]
			s.backlog = s.backlog[1:]
			if over, err := s.handle(ev); over {
				return err
			}
			continue
		}
		var due <-chan time.Time
		if !s.wake.IsZero() {
			due = s.cfg.Clock.After(max(0, s.wake.Sub(s.cfg.Clock.Now())))
		}
		select {
		case <-s.ctx.Done():
			return nil
		case ev := <-s.events:
			s.backlog = append(s.backlog, ev)
		case <-due:
			s.tick()
		}
	}
}

// handle takes one event; over reports that it was the last.
func (s *session) handle(ev event) (over bool, err error) {
	switch {
	case ev.err == io.EOF:
		return true, nil
	case ev.err != nil:
		return true, ev.err
	case ev.lines != nil:
		s.setLines(*ev.lines)
	default:
		s.receive(ev.data, ev.baud)
	}
	return false, nil
}

// setLines plays the auto-reset circuit.
func (s *session) setLines(l lines) {
	was := s.lines
	s.lines = l
	switch {
	case !l.enable():
		s.mode, s.wake = held, time.Time{}
		s.loader.abandon()
		s.prog = nil
		s.out.discard()
	case s.mode == held || s.mode == rising:
		if l.strapLow() || !l.dtr && !l.rts {
			s.reset(powerOn, l.strapLow())
			return
		}
		if was != l || s.mode == held {
			s.mode, s.wake = rising, s.cfg.Clock.Now().Add(enRise)
		}
	}
}

// tick does what s.wake was set for.
func (s *session) tick() {
	s.wake = time.Time{}
	switch s.mode {
	case rising:
		s.reset(powerOn, s.lines.strapLow())
	case download:
		s.reset(rtcWatchdog, s.hasLines && s.lines.strapLow())
	case running:
		wait, why := s.prog.step(s, s.cfg.Clock.Now())
		if why != stays {
			s.reset(why, s.hasLines && s.lines.strapLow())
			return
		}
		if wait > 0 {
			s.wake = s.cfg.Clock.Now().Add(wait)
		}
	}
}

// receive handles bytes from the host.
func (s *session) receive(p []byte, baud int) {
	if baud != 0 && differs(baud, s.baud) {
		s.log.Debug("noise: the host sends at another rate", "host", baud, "chip", s.baud)
		return
	}
	switch s.mode {
	case download:
		for _, b := range p {
			if frame, whole := s.slip.push(b); whole && s.mode == download {
				s.frame(frame)
			}
		}
	case running:
		s.prog.input(p)
		if !s.cfg.AutoDownload || s.hasLines {
			return
		}
		for _, b := range p {
			frame, whole := s.slip.push(b)
			if !whole {
				continue
			}
			req, sizeOK, isRequest := parseRequest(frame)
			if isRequest && sizeOK && req.op == Sync && len(req.data) == syncSize && s.mode == running {
				s.log.Debug("SYNC while the application runs: reset into download mode")
				s.reset(powerOn, true)
			}
			if s.mode == download {
				s.frame(frame)
			}
		}
	}
}

// differs reports whether two rates are too far apart for a UART.
func differs(a, b int) bool {
	d := a - b
	if d < 0 {
		d = -d
	}
	return d*100 > 3*b
}

// console prints the output of the chip's own program.
func (s *session) console(p []byte) { s.out.offer(p, s.baud) }

// sleep waits unless the session ends first.
func (s *session) sleep(d time.Duration) {
	over := s.cfg.Clock.After(d)
	for {
		select {
		case ev := <-s.events:
			s.backlog = append(s.backlog, ev)
		case <-over:
			return
		case <-s.ctx.Done():
			return
		}
	}
}
