package flash

import (
	"context"
	"errors"
	"time"
)

// repeats bounds the repetitions of a step after a lost or spoiled answer.
const repeats = 2

// repeat calls fn, and calls it again while its errors may be temporary and the chip
// still answers a SYNC. The package comment lists the steps that may be repeated.
func (d *Device) repeat(ctx context.Context, step string, fn func() error) error {
	for try := 0; ; try++ {
		err := fn()
		if err == nil || try == repeats || !passing(err) {
			return err
		}
		d.log.Warn("repeating", "step", step, "after", err)
		if settleErr := d.settle(ctx); settleErr != nil {
			return stopped(ctx, err, step)
		}
	}
}

// stopped returns err, the first error of a step, or an error of the context if that has
// ended. The later error of a SYNC would add nothing for the user.
func stopped(ctx context.Context, err error, step string) error {
	if ctx.Err() != nil {
		return canceled(ctx, step)
	}
	return err
}

// agree calls fn until two results in a row are equal, at most five times. It is
// for answers without a checksum, which a disturbance may change unnoticed.
func agree[T comparable](ctx context.Context, d *Device, step string, fn func() (T, error)) (T, error) {
	last, err := fn()
	if err != nil {
		return last, err
	}
	for range 4 {
		next, err := fn()
		if err != nil || next == last {
			return next, err
		}
		d.spoiled++
		d.log.Warn("two answers differ", "step", step)
		if err := d.settle(ctx); err != nil {
			return next, stopped(ctx, err, step)
		}
		last = next
	}
	return last, &Error{Kind: KindGarbled, Step: step, Msg: "the chip answers differently each time", Hint: hintSilent}
}

// passing reports whether a disturbance of the line can be the cause of an error.
func passing(err error) bool {
	if code, is := romCode(err); is {
		return code != romReadLength
	}
	return IsKind(err, KindSilent) || IsKind(err, KindGarbled)
}

// romCode returns the error code of the ROM that err wraps.
func romCode(err error) (byte, bool) {
	var rom *ROMError
	if errors.As(err, &rom) {
		return rom.Code, true
	}
	return 0, false
}

// The pace of SYNC. A ROM answers within a few milliseconds, unless the line is slow.
const (
	syncTries   = 5
	syncTimeout = 100 * time.Millisecond
	quietTime   = 50 * time.Millisecond
	syncReplies = 8
)

// resync sends SYNC until the chip answers. The chip answers in order, so all earlier
// answers have arrived then; resync drops them.
func (d *Device) resync(ctx context.Context) error {
	d.link.forget()
	return d.sync(ctx, "talking to the loader")
}

// sync sends SYNC a few times, and returns the last error.
func (d *Device) sync(ctx context.Context, step string) error {
	rq := request{op: opSync, data: []byte{0x07, 0x07, 0x12, 0x20}}
	for range 32 {
		rq.data = append(rq.data, 0x55)
	}
	frame := rq.encode()
	var err error
	for try := range syncTries {
		err = d.syncOnce(ctx, step, frame)
		if err == nil {
			d.skip(ctx, try > 0)
			return nil
		}
		if !IsKind(err, KindSilent) && !IsKind(err, KindGarbled) {
			return err
		}
	}
	return err
}

func (d *Device) syncOnce(ctx context.Context, step string, frame []byte) error {
	limit := syncTimeout + d.onWire(len(frame))
	until, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := d.link.line.Write(until, frame); err != nil {
		return d.failure(ctx, step, limit, err)
	}
	for {
		frame, err := d.link.frame(until, 0)
		if err != nil {
			return d.failure(ctx, step, limit, err)
		}
		r, err := parseResponse(frame)
		if errors.Is(err, errNotResponse) {
			d.link.remember(frame)
		}
		if err != nil || r.op != opSync {
			continue
		}
		if len(r.payload) == 2 && r.value != 0 {
			d.status = 2 // an ESP8266; a stub sends no value
		} else if len(r.payload) == 2 {
			return &Error{Kind: KindNoLoader, Step: step, Msg: "another tool's flasher stub runs on the chip",
				Hint: "reset the board into download mode first: " + hintBoot}
		}
		if _, err := r.result(d.status, 0); err == nil {
			return nil
		}
	}
}

// skip drops the seven frames that follow the first answer to SYNC, or to a command the
// ROM does not know. After several SYNCs there are more frames, and only silence shows
// their end.
func (d *Device) skip(ctx context.Context, severalSyncs bool) {
	frames := syncReplies - 1
	if severalSyncs {
		frames = syncTries*syncReplies - 1
	}
	for range frames {
		until, cancel := context.WithTimeout(ctx, quietTime)
		_, err := d.link.frame(until, 0)
		cancel()
		if err != nil {
			return
		}
	}
}
