package flash

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/farforge/farforge/common/flash/chips"
	"github.com/farforge/farforge/common/flash/portio"
)

// Device is a chip whose loader answers. Its methods are for one goroutine at a time. The
// caller keeps the port; see Close.
type Device struct {
	link *link
	port Port
	log  *slog.Logger
	chip *chips.Chip
	info Info

	before Before

	opened int // the rate the port was opened with, and to which Finish returns
	baud   int // the rate now
	tail   []byte
	closed bool

	status     int   // bytes at the end of an answer
	known      bool  // the chip was identified
	paramsSet  bool  // the ROM knows the geometry of the flash
	spoiled    int   // disturbances of the line since the rate last changed
	noisy      bool  // the line was disturbed at least once
	recoveries int   // resets of a silent chip
	doubt      error // why an erase may have hit another place
	undeflated int   // deflated pieces that failed
}

// answerTimeout is the time for an answer to a command that does not touch the flash.
const answerTimeout = 3 * time.Second

// quietAnswer is the time for the rest of an answer that has begun, after a command that
// takes the chip little time.
const quietAnswer = 500 * time.Millisecond

func erases(op byte) bool { return op == opFlashBegin || op == opDeflBegin }

// onWire is the time for n bytes on the line, doubled for a slow USB bridge.
func (d *Device) onWire(n int) time.Duration {
	return 2 * time.Duration(n) * 10 * time.Second / time.Duration(d.baud)
}

// errUnknownCommand reports that the ROM does not know the command.
var errUnknownCommand = errors.New("the ROM does not know this command")

// exchange sends one command and waits for its answer. The step completes "… while",
// and sizes are the valid lengths of the data in the answer. exchange counts the
// disturbances of the line.
func (d *Device) exchange(ctx context.Context, step string, rq request, timeout time.Duration, sizes ...int) (uint32, []byte, error) {
	value, data, err := d.roundTrip(ctx, step, rq, timeout, sizes...)
	code, isROM := romCode(err)
	if IsKind(err, KindSilent) || IsKind(err, KindGarbled) || isROM && (code == romInvalidCRC || code == romInvalidMessage) {
		d.spoiled, d.noisy = d.spoiled+1, true
	}
	return value, data, err
}

func (d *Device) roundTrip(ctx context.Context, step string, rq request, timeout time.Duration, sizes ...int) (uint32, []byte, error) {
	frame := rq.encode()
	limit := timeout + d.onWire(len(frame))
	until, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	d.link.forget() // such as an answer that the line has doubled
	if err := d.link.line.Write(until, frame); err != nil {
		return 0, nil, d.failure(ctx, step, limit, err)
	}
	quiet := time.Duration(0)
	if timeout < 2*answerTimeout && !erases(rq.op) {
		quiet = quietAnswer
	}
	for {
		frame, err := d.link.frame(until, quiet)
		if err != nil {
			return 0, nil, d.failure(ctx, step, limit, err)
		}
		r, err := parseResponse(frame)
		switch {
		case errors.Is(err, errNotResponse):
			d.link.remember(frame)
			continue
		case r.op != rq.op:
			if code, is := r.failed(d.status); is && code == romInvalidMessage && rq.op == opSecurityInfo {
				return 0, nil, errUnknownCommand
			}
			continue // a late answer to an earlier SYNC
		case err != nil:
			return 0, nil, &Error{Kind: KindGarbled, Step: step, Msg: "the chip's answer is damaged", Err: err, Hint: hintSilent}
		}
		data, err := r.result(d.status, sizes...)
		var refused *ROMError
		switch {
		case errors.As(err, &refused):
			return 0, nil, &Error{Kind: KindRefused, Step: step, Msg: "the chip reported an error", Err: err, Hint: refused.hint()}
		case err != nil:
			return 0, nil, &Error{Kind: KindGarbled, Step: step, Msg: "the chip's answer is damaged", Err: err, Hint: hintSilent}
		}
		return r.value, data, nil
	}
}

// failure returns the reason for a missing answer.
func (d *Device) failure(ctx context.Context, step string, limit time.Duration, err error) error {
	switch {
	case ctx.Err() != nil:
		return canceled(ctx, step)
	case errors.Is(err, portio.ErrLost):
		return &Error{Kind: KindPort, Step: step, Msg: "the port went away", Err: err, Hint: "check the cable, and that nothing else resets or uses the board"}
	}
	if heard := d.link.heard(); len(heard) > 0 {
		return &Error{Kind: KindGarbled, Step: step, Msg: "the chip's answer cannot be understood",
			Err: fmt.Errorf("received %s", quote(heard)), Hint: hintSilent}
	}
	return &Error{Kind: KindSilent, Step: step, Msg: "the chip went silent",
		Err: fmt.Errorf("no answer within %s", limit.Round(100*time.Millisecond)), Hint: hintSilent}
}

// ask makes an exchange and repeats it after a disturbance. Its command must change
// nothing or set the same value again.
func (d *Device) ask(ctx context.Context, step string, rq request, timeout time.Duration, sizes ...int) (value uint32, data []byte, err error) {
	err = d.repeat(ctx, step, func() error {
		value, data, err = d.exchange(ctx, step, rq, timeout, sizes...)
		return err
	})
	return value, data, err
}

// registers gives a chip's functions access to the chip, and their errors a step.
type registers struct {
	d    *Device
	step string
}

// ReadReg reads a register until two answers agree, as they have no checksum.
func (r registers) ReadReg(ctx context.Context, addr uint32) (uint32, error) {
	return agree(ctx, r.d, r.step, func() (uint32, error) { return r.readOnce(ctx, addr) })
}

// readOnce reads a register that may change between two reads.
func (r registers) readOnce(ctx context.Context, addr uint32) (uint32, error) {
	v, _, err := r.d.ask(ctx, r.step, request{op: opReadReg, data: words(addr)}, answerTimeout, 0)
	return v, err
}

// WriteReg writes all bits, without a delay.
func (r registers) WriteReg(ctx context.Context, addr, value uint32) error {
	_, _, err := r.d.ask(ctx, r.step, request{op: opWriteReg, data: words(addr, value, 0xFFFFFFFF, 0)}, answerTimeout, 0)
	return err
}

// Close ends the Device and restores the rate of the port. It does not move the port's
// lines: without a Finish before, the chip stays in its loader. Close closes the port
// only if nothing else ends a pending Read. It may be called more than once.
func (d *Device) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	tail, err := d.link.close()
	d.tail = append(d.tail, tail...)
	if rateErr := d.restoreBaud("releasing the port"); rateErr != nil {
		d.log.Warn("the port keeps the fast rate", "error", rateErr) // it is closed or gone
	}
	if err != nil {
		return &Error{Kind: KindPort, Msg: "releasing the port failed", Err: err}
	}
	return nil
}

// Tail returns, after Close, the bytes that were received and not used: after Finish,
// the first output of the firmware. A monitor prints them first.
func (d *Device) Tail() []byte { return d.tail }

// pause waits, or returns early with an error when ctx ends.
func pause(ctx context.Context, t time.Duration, step string) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return canceled(ctx, step)
	}
}
