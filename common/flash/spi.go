package flash

import (
	"context"
	"fmt"

	"github.com/farforge/farforge/common/flash/chips"
)

// Bits of the SPI controller's registers, the same on all chips.
const (
	spiCmdUsr     = 1 << 18 // start; cleared by the hardware at the end
	spiUsrCommand = 1 << 31
	spiUsrMISO    = 1 << 28
	spiUsr2Bits   = 28 // shift of the command's length minus one
)

// readID is the flash command that every NOR part knows.
const readID = 0x9F

// attach connects the SPI controller with the flash's pins. Its two words mean the
// default pins, and for ROMs no legacy mode.
func (d *Device) attach(ctx context.Context) error {
	_, _, err := d.ask(ctx, "attaching the flash", request{op: opSPIAttach, data: words(0, 0)}, answerTimeout, 0)
	return err
}

// attachFlash attaches the flash and asks the part for its id, until two answers
// agree.
func (d *Device) attachFlash(ctx context.Context) error {
	r := registers{d, "reading the flash id"}
	if d.chip.SPI.MisoLen != 0 { // the ESP8266's ROM attaches the flash by itself
		if err := d.attach(ctx); err != nil {
			return err
		}
	}
	var err error
	d.info.FlashID, err = agree(ctx, d, r.step, func() (uint32, error) { return flashID(ctx, r, d.chip.SPI) })
	d.info.FlashSize = flashSize(d.info.FlashID)
	return err
}

// flashID makes the controller send one command and receive three bytes.
func flashID(ctx context.Context, r registers, spi chips.SPI) (uint32, error) {
	usr, err := r.readOnce(ctx, spi.Usr)
	if err != nil {
		return 0, err
	}
	usr2, err := r.readOnce(ctx, spi.Usr2)
	if err != nil {
		return 0, err
	}
	lengthAt, length := spi.MisoLen, uint32(3*8-1)
	if lengthAt == 0 { // an ESP8266 has the length in another register
		const misoBits = 8
		lengthAt, length = spi.Usr1, (3*8-1)<<misoBits
	}
	for _, w := range [][2]uint32{
		{lengthAt, length},
		{spi.Usr, spiUsrCommand | spiUsrMISO},
		{spi.Usr2, 7<<spiUsr2Bits | readID},
		{spi.W0, 0},
		{spi.Cmd, spiCmdUsr},
	} {
		if err := r.WriteReg(ctx, w[0], w[1]); err != nil {
			return 0, err
		}
	}
	const polls = 10
	for n := 0; ; n++ {
		cmd, err := r.readOnce(ctx, spi.Cmd)
		if err != nil {
			return 0, err
		}
		if cmd&spiCmdUsr == 0 {
			break
		}
		if n == polls {
			return 0, &Error{Kind: KindRefused, Step: r.step, Msg: "the chip's flash controller did not finish", Hint: hintBoot}
		}
	}
	id, err := r.readOnce(ctx, spi.W0)
	if err != nil {
		return 0, err
	}
	for _, w := range [][2]uint32{{spi.Usr, usr}, {spi.Usr2, usr2}} {
		if err := r.WriteReg(ctx, w[0], w[1]); err != nil {
			return 0, err
		}
	}
	return id & 0xFFFFFF, nil
}

// flashSize reads the third byte of an id, in which nearly all makers put the
// logarithm of the size. Another range of values is used by a few of them.
func flashSize(id uint32) int64 {
	code := id >> 16 & 0xFF
	switch {
	case code >= 0x12 && code <= 0x1C: // 256 KiB to 256 MiB
		return 1 << code
	case code >= 0x20 && code <= 0x22: // 64 to 256 MiB
		return 64 << 20 << (code - 0x20)
	case code >= 0x32 && code <= 0x3A:
		return 1 << (code - 0x20)
	}
	return 0
}

// missingFlash returns an error if the id shows that no flash is connected.
func missingFlash(id uint32) error {
	if id != 0 && id != 0xFFFFFF {
		return nil
	}
	return &Error{Kind: KindRefused, Msg: fmt.Sprintf("the chip's flash does not answer (id 0x%06x)", id),
		Hint: "check the board's power, and that nothing else is connected to the flash's pins"}
}
