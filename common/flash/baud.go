package flash

import (
	"context"
	"fmt"
	"time"
)

// setBaud takes both ends of the line to another rate.
func (d *Device) setBaud(ctx context.Context, baud int) error {
	port, ok := d.port.(rateSetter)
	if !ok {
		d.log.Debug("the port has no rate to change")
		return nil
	}
	if d.info.Security.SecureDownload {
		return nil // nothing will be written anyway
	}
	step := fmt.Sprintf("changing to %d baud", baud)
	word := uint32(baud)
	if d.chip.BaudWord != nil {
		var err error
		if word, err = d.chip.BaudWord(ctx, registers{d, step}, baud); err != nil {
			return err
		}
	}
	if _, _, err := d.exchange(ctx, step, request{op: opChangeBaud, data: words(word, 0)}, answerTimeout, 0); err != nil {
		return err
	}
	if err := port.SetBaudRate(baud); err != nil {
		return &Error{Kind: KindPort, Step: step, Msg: "the port does not take this rate", Err: err, Hint: "choose a usual rate, such as 460800 or 115200"}
	}
	d.baud = baud
	// The chip switches after its answer has left; what arrives meanwhile is noise.
	if err := pause(ctx, 50*time.Millisecond, step); err != nil {
		return err
	}
	if err := d.resync(ctx); err != nil {
		if ctx.Err() != nil {
			return cancelled(ctx, step)
		}
		return &Error{Kind: KindSilent, Step: step, Msg: "the chip went silent", Err: err, Hint: "choose a lower rate, such as 460800 or 115200"}
	}
	return nil
}
