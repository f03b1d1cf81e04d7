package simulator

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// NoTimeout makes Read wait forever, as go.bug.st/serial's constant does.
const NoTimeout time.Duration = -1

// Port is the host's end of a cable to a simulated chip in the same process,
// with modem lines and rates. Its methods have the names and meanings of
// go.bug.st/serial's Port: a Read that times out returns 0 and no error, Close
// ends a Read. Both lines begin asserted, as an operating system opens a port.
//
// When the host's rate is more than 3 % off the chip's, both sides receive
// noise. All methods are safe for concurrent use.
type Port struct {
	chip   *Chip
	events chan event
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	arrived chan struct{} // closed and replaced when input arrives
	input   []byte
	baud    int
	timeout time.Duration
	lines   lines
}

// ErrPortClosed is returned by the methods of a closed Port.
var ErrPortClosed = errors.New("the simulated port is closed")

// portBuffer bounds the console output that waits for a reader.
const portBuffer = 64 << 10

// Port connects the chip to a new in-process port, and gives it power if it has
// none. The chip runs in a goroutine that Close ends. A chip has one cable: Port
// panics with ErrBusy when the chip is connected already, which is a mistake in
// the program, not a condition of the chip.
func (c *Chip) Port() *Port {
	if err := c.connect(); err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Port{
		chip: c, ctx: ctx, cancel: cancel,
		events:  make(chan event),
		done:    make(chan struct{}),
		arrived: make(chan struct{}),
		baud:    defaultBaud,
		timeout: NoTimeout,
		lines:   lines{dtr: true, rts: true},
	}
	c.lines = p.lines
	go func() {
		defer close(p.done)
		defer c.disconnect()
		s := &session{Chip: c, ctx: ctx, out: (*portSink)(p), events: p.events, hasLines: true}
		// Only the context ends a port's session, and that is no error.
		_ = s.run()
	}()
	return p
}

// Read waits for input up to the read timeout. It returns io.EOF once the port
// is closed.
func (p *Port) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p.mu.Lock()
	timeout := p.timeout
	p.mu.Unlock()
	var late <-chan time.Time
	if timeout >= 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		late = t.C
	}
	for {
		p.mu.Lock()
		n := copy(b, p.input)
		p.input = p.input[n:]
		arrived := p.arrived
		p.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		select {
		case <-arrived:
		case <-late:
			return 0, nil
		case <-p.ctx.Done():
			return 0, io.EOF
		}
	}
}

// Write hands b to the chip. It does not wait for the chip
// to handle it.
func (p *Port) Write(b []byte) (int, error) {
	p.mu.Lock()
	baud := p.baud
	p.mu.Unlock()
	if err := p.post(event{data: append([]byte(nil), b...), baud: baud}); err != nil {
		return 0, err
	}
	return len(b), nil
}

// SetDTR asserts or releases DTR.
func (p *Port) SetDTR(dtr bool) error {
	return p.setLines(func(l *lines) { l.dtr = dtr })
}

// SetRTS asserts or releases RTS.
func (p *Port) SetRTS(rts bool) error {
	return p.setLines(func(l *lines) { l.rts = rts })
}

func (p *Port) setLines(change func(*lines)) error {
	p.mu.Lock()
	change(&p.lines)
	l := p.lines
	p.mu.Unlock()
	return p.post(event{lines: &l})
}

// SetBaudRate sets the host's rate in bits per second.
func (p *Port) SetBaudRate(baud int) error {
	if baud <= 0 {
		return errors.New("a baud rate must be above zero")
	}
	if p.ctx.Err() != nil {
		return ErrPortClosed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.baud = baud
	return nil
}

// SetReadTimeout bounds each later Read; NoTimeout waits forever.
func (p *Port) SetReadTimeout(d time.Duration) error {
	if d < 0 && d != NoTimeout {
		return errors.New("a read timeout must not be negative, unless it is NoTimeout")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timeout = d
	return nil
}

// ResetInputBuffer drops input that was not read.
func (p *Port) ResetInputBuffer() error {
	if p.ctx.Err() != nil {
		return ErrPortClosed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return nil
}

// ResetOutputBuffer does nothing: when Write returned, the chip has the bytes.
func (p *Port) ResetOutputBuffer() error { return nil }

// Drain does nothing, for the same reason.
func (p *Port) Drain() error { return nil }

// Close ends the connection and waits for the chip's goroutine. The chip keeps
// its state and can be connected again.
func (p *Port) Close() error {
	p.cancel()
	<-p.done
	return nil
}

// post hands an event to the chip.
func (p *Port) post(ev event) error {
	select {
	case p.events <- ev:
		return nil
	case <-p.ctx.Done():
		return ErrPortClosed
	}
}

// portSink is the chip's side of the input buffer.
type portSink Port

func (o *portSink) send(_ context.Context, b []byte, baud int) { o.put(b, baud, false) }
func (o *portSink) offer(b []byte, baud int)                   { o.put(b, baud, true) }

func (o *portSink) put(b []byte, baud int, console bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if console && len(o.input)+len(b) > portBuffer {
		return
	}
	if differs(o.baud, baud) {
		b = noise(len(b))
	}
	o.input = append(o.input, b...)
	close(o.arrived)
	o.arrived = make(chan struct{})
}

// discard does nothing: the host drops its input itself.
func (o *portSink) discard() {}
