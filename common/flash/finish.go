package flash

import (
	"context"
	"time"
)

// Finish makes the chip leave its loader, and sets the line to the rate that the port
// was opened with. After it, only Close may be called.
func (d *Device) Finish(ctx context.Context, after After) error {
	const step = "restarting the board"
	if after == Stay {
		return nil
	}
	if after == WatchdogReset && d.chip.Watchdog == nil {
		d.log.Warn("the chip has no watchdog reset; resetting by RTS", "chip", d.chip.Name)
		after = HardReset
	}
	if after == WatchdogReset {
		if err := d.chip.Watchdog(ctx, registers{d, step}); err != nil {
			return err
		}
		return d.restoreBaud(step)
	}
	if lines, ok := d.port.(modemLines); ok && after == HardReset {
		hold := 100 * time.Millisecond
		if isUSBSerialJTAG(d.port) {
			hold = 200 * time.Millisecond
		}
		moves := runReset(hold)
		if err := play(ctx, lines, moves[:1], step); err != nil {
			return err
		}
		d.link.forget() // all later bytes are the firmware's
		if err := d.restoreBaud(step); err != nil {
			return err
		}
		return play(ctx, lines, moves[1:], step)
	}
	return d.softReset(ctx, step)
}

// softReset makes the ROM run the firmware. The ROM does so only at the end of a
// download, so an empty one is begun.
func (d *Device) softReset(ctx context.Context, step string) error {
	if err := d.begin(ctx, step, opFlashBegin, 0, 0, 0); err != nil {
		return err
	}
	const runUserCode = 1
	_, _, err := d.exchange(ctx, step, request{op: opFlashEnd, data: words(runUserCode)}, answerTimeout, 0)
	if IsKind(err, KindGarbled) && printable(d.link.heard()) {
		d.tail, err = d.link.heard(), nil // the answer is lost, but the firmware prints
	}
	if err != nil {
		return err
	}
	return d.restoreBaud(step)
}
