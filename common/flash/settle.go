package flash

import (
	"context"
	"time"
)

// faultsPerRate is the number of disturbances after which the rate falls.
const faultsPerRate = 3

// maxRecoveries bounds how often a Device resets a chip that went silent.
const maxRecoveries = 3

// settle gets the line into a known state after a disturbance: it sends SYNC until the
// chip answers, resets a silent chip into its loader, and lowers the rate after repeated
// disturbances.
func (d *Device) settle(ctx context.Context) error {
	if err := d.resync(ctx); err != nil {
		if ctx.Err() != nil || (!IsKind(err, KindSilent) && !IsKind(err, KindGarbled)) {
			return err
		}
		if !d.recover(ctx) {
			return err
		}
	}
	d.slowDown(ctx)
	return nil
}

// recover resets a silent chip into its loader, and reports success. It needs modem
// lines, and excludes a chip's own USB port, which the reset would disconnect.
func (d *Device) recover(ctx context.Context) bool {
	lines, ok := d.port.(modemLines)
	if !ok || !d.known || d.before == NoReset || isUSBSerialJTAG(d.port) || d.recoveries == maxRecoveries {
		return false
	}
	d.recoveries++
	d.log.Warn("resetting the chip, which went silent")
	const step = "resetting the silent chip"
	for _, hold := range []time.Duration{50 * time.Millisecond, 550 * time.Millisecond} {
		if play(ctx, lines, classicReset(hold), step) != nil || d.setPortBaud(DefaultBaud) != nil {
			return false
		}
		if d.resync(ctx) == nil {
			return d.attach(ctx) == nil && (!d.paramsSet || d.setParams(ctx) == nil)
		}
	}
	return false
}

// slowDown lowers the rate after repeated disturbances. A line at the lowest rate stays
// there.
func (d *Device) slowDown(ctx context.Context) {
	if d.spoiled < faultsPerRate || !d.known {
		return
	}
	for _, rate := range []int{460800, 230400, DefaultBaud} {
		if rate < d.baud {
			d.log.Warn("the line is bad; lowering the rate", "from", d.baud, "to", rate)
			if err := d.setBaud(ctx, rate); err != nil {
				d.log.Warn("the rate cannot be lowered", "error", err)
			}
			break
		}
	}
	d.spoiled = 0
}

// setPortBaud sets the rate of this end only.
func (d *Device) setPortBaud(baud int) error {
	p, ok := d.port.(rateSetter)
	if !ok || d.baud == baud {
		return nil
	}
	if err := p.SetBaudRate(baud); err != nil {
		return err
	}
	d.baud = baud
	return nil
}
