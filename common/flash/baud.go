package flash

import (
	"context"
	"fmt"
	"time"
)

const hintRate = "choose a lower rate, such as 460800 or 115200"

// setBaud changes the rate of both ends of the line. The command has no checksum and its
// answer may be lost, so setBaud checks at which rate the chip answers.
func (d *Device) setBaud(ctx context.Context, baud int) error {
	if _, ok := d.port.(rateSetter); !ok {
		d.log.Debug("the port has no rate to change")
		return nil
	}
	if d.info.Security.SecureDownload {
		return nil // nothing will be written anyway
	}
	step, before := fmt.Sprintf("changing to %d baud", baud), d.baud
	word := uint32(baud)
	if d.chip.BaudWord != nil {
		var err error
		if word, err = d.chip.BaudWord(ctx, registers{d, step}, baud, d.baud); err != nil {
			return err
		}
	}
	_, _, refused := d.exchange(ctx, step, request{op: opChangeBaud, data: words(word, 0)}, answerTimeout, 0)
	if refused != nil && !IsKind(refused, KindSilent) && !IsKind(refused, KindGarbled) {
		return refused
	}
	if err := d.setPortBaud(baud); err != nil {
		return &Error{Kind: KindPort, Step: step, Msg: "the port does not take this rate", Err: err, Hint: "choose a usual rate, such as 460800 or 115200"}
	}
	// The chip switches after its answer has left; what arrives meanwhile is noise.
	if err := pause(ctx, 50*time.Millisecond, step); err != nil {
		return err
	}
	err := d.resync(ctx)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return canceled(ctx, step)
	}
	if refused != nil {
		err = refused
	}
	if d.setPortBaud(before) == nil && d.resync(ctx) == nil {
		d.log.Warn("the chip does not answer at the new rate", "rate", baud)
		return nil
	}
	if d.recover(ctx) {
		d.log.Warn("the chip was reset, as it did not answer at the new rate", "rate", baud)
		return nil
	}
	return &Error{Kind: KindSilent, Step: step, Msg: "the chip went silent", Err: err, Hint: hintRate}
}

func (d *Device) restoreBaud(step string) error {
	if err := d.setPortBaud(d.opened); err != nil {
		return &Error{Kind: KindPort, Step: step, Msg: "the port cannot return to its first rate", Err: err}
	}
	return nil
}
