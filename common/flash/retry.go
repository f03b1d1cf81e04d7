package flash

import (
	"context"
	"errors"
	"time"
)

// repeats bounds how often something is done again after a lost or spoilt answer.
const repeats = 2

// repeat does fn, and again while the errors may pass and the chip still
// answers a SYNC. See the package comment for what may be handed to it.
func (d *Device) repeat(ctx context.Context, step string, fn func() error) error {
	for try := 0; ; try++ {
		err := fn()
		if err == nil || try == repeats || !passing(err) {
			return err
		}
		d.log.Warn("repeating", "step", step, "after", err)
		if resyncErr := d.resync(ctx); resyncErr != nil {
			if ctx.Err() != nil {
				return cancelled(ctx, step)
			}
			return err // that it is silent even to SYNC adds nothing for the user
		}
	}
}

// passing tells errors that a disturbance on the line explains from those that
// would come again.
func passing(err error) bool {
	var rom *ROMError
	if errors.As(err, &rom) {
		switch rom.Code {
		case romInvalidMessage, romInvalidCRC, romFlashWrite, romDeflate:
			return true
		}
		return false
	}
	return IsKind(err, KindSilent) || IsKind(err, KindGarbled)
}

// The pace of SYNC. A ROM answers within a few milliseconds, unless the line
// between is slow.
const (
	syncTries   = 5
	syncTimeout = 100 * time.Millisecond
	quietTime   = 50 * time.Millisecond
	syncReplies = 8
)

// resync sends SYNC until it is answered. What was sent before has then been
// answered too, and is dropped.
func (d *Device) resync(ctx context.Context) error {
	d.link.forget()
	return d.sync(ctx, "talking to the loader")
}

// sync tries a few times. The last error is returned.
func (d *Device) sync(ctx context.Context, step string) error {
	rq := request{op: opSync, data: []byte{0x07, 0x07, 0x12, 0x20}}
	for range 32 {
		rq.data = append(rq.data, 0x55)
	}
	wire := rq.encode()
	var err error
	for try := range syncTries {
		err = d.syncOnce(ctx, step, wire)
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

func (d *Device) syncOnce(ctx context.Context, step string, wire []byte) error {
	limit := syncTimeout + d.onWire(len(wire))
	until, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := d.link.line.Write(until, wire); err != nil {
		return d.failure(ctx, step, limit, err)
	}
	for {
		frame, err := d.link.frame(until)
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
		if len(r.payload) == 2 {
			return &Error{Kind: KindNoLoader, Step: step, Msg: "another tool's flasher stub runs on the chip",
				Hint: "reset the board into download mode first: " + hintBoot}
		}
		if _, err := r.result(0); err == nil {
			return nil
		}
	}
}

// skip drops the seven frames that follow the first answer to SYNC, or to a
// command the ROM does not know. After more than one SYNC there are more, and
// only silence says that they have ended.
func (d *Device) skip(ctx context.Context, severalSyncs bool) {
	frames := syncReplies - 1
	if severalSyncs {
		frames = syncTries*syncReplies - 1
	}
	for range frames {
		until, cancel := context.WithTimeout(ctx, quietTime)
		_, err := d.link.frame(until)
		cancel()
		if err != nil {
			return
		}
	}
}
