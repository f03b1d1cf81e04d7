package flash

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net"

	"github.com/farforge/farforge/common/flash/chips"
)

// Info describes the connected chip.
type Info struct {
	Chip     string // "esp32c3"
	Title    string // "ESP32-C3"
	Revision chips.Revision
	MAC      net.HardwareAddr
	Security chips.Security
	// FlashID is the flash part's answer to command 9F: manufacturer in the low byte,
	// size code in the third.
	FlashID uint32
	// FlashSize is in bytes, or zero if the flash id has no size.
	FlashSize int64
}

// Info describes the chip. In secure download mode revision, MAC address and flash are
// not known.
func (d *Device) Info() Info { return d.info }

// securityInfo is the answer to GET_SECURITY_INFO.
type securityInfo struct {
	known    bool // the ROM has this command
	flags    uint32
	cryptCnt byte
	hasID    bool // an ESP32-S2 has no chip id here
	chipID   uint32
}

const (
	flagSecureBoot     = 1 << 0
	flagSecureDownload = 1 << 2
)

func parseSecurityInfo(b []byte) securityInfo {
	s := securityInfo{known: true, flags: binary.LittleEndian.Uint32(b), cryptCnt: b[4]}
	if len(b) == 20 {
		s.hasID, s.chipID = true, binary.LittleEndian.Uint32(b[12:])
	}
	return s
}

func (s securityInfo) security() chips.Security {
	return chips.Security{
		SecureBoot:      s.flags&flagSecureBoot != 0,
		SecureDownload:  s.flags&flagSecureDownload != 0,
		FlashEncryption: bits.OnesCount8(s.cryptCnt)%2 == 1,
	}
}

// identify reads chip and security state first, since a locked-down chip answers
// nothing else, and then the rest.
func (d *Device) identify(ctx context.Context, wanted string) error {
	const step = "identifying the chip"
	sec, err := agree(ctx, d, step, func() (securityInfo, error) { return d.securityInfo(ctx, step) })
	if err != nil {
		return err
	}
	if err := d.recognize(ctx, step, sec); err != nil {
		return err
	}
	if w := chips.Normal(wanted); w != "" && w != d.chip.Name {
		return &Error{Kind: KindFirmware, Msg: fmt.Sprintf("the board is %s, not %s", d.chip.Name, w),
			Hint: "connect the other board, or choose another port or chip"}
	}
	d.info.Chip, d.info.Title = d.chip.Name, d.chip.Title
	if sec.known {
		d.info.Security = sec.security()
	}
	if d.info.Security.SecureDownload {
		return nil
	}
	if err := d.describe(ctx); err != nil {
		return err
	}
	d.known = true
	return nil
}

// securityInfo asks for the security state. A ROM without this command gives the
// zero value.
func (d *Device) securityInfo(ctx context.Context, step string) (securityInfo, error) {
	_, data, err := d.ask(ctx, step, request{op: opSecurityInfo}, answerTimeout, 12, 20)
	switch {
	case errors.Is(err, errUnknownCommand):
		d.skip(ctx, false)
		return securityInfo{}, nil
	case err != nil:
		return securityInfo{}, err
	}
	return parseSecurityInfo(data), nil
}

func (d *Device) recognize(ctx context.Context, step string, sec securityInfo) error {
	var ok bool
	if sec.hasID {
		if d.chip, ok = chips.ByImageID(uint16(sec.chipID)); ok {
			return nil
		}
		return &Error{Kind: KindFirmware, Hint: "use a board with one of these chips: " + chipNames(),
			Msg: fmt.Sprintf("the board is %s, which is not supported", chips.NameOfImageID(uint16(sec.chipID)))}
	}
	if sec.known && sec.security().SecureDownload { // no register can be read
		d.chip, _ = chips.ByName("esp32s2") // the only chip without an id here
		return nil
	}
	word, err := registers{d, step}.ReadReg(ctx, chips.MagicAddr)
	if err != nil {
		return err
	}
	if d.chip, ok = chips.ByMagic(word); ok {
		return nil
	}
	return &Error{Kind: KindFirmware, Hint: "use a board with one of these chips: " + chipNames(),
		Msg: fmt.Sprintf("the board's chip is not supported (0x%08x)", word)}
}

// describe reads the registers, and attaches the flash.
func (d *Device) describe(ctx context.Context) error {
	var err error
	if d.chip.Security != nil {
		if d.info.Security, err = d.chip.Security(ctx, registers{d, "reading the security state"}); err != nil {
			return err
		}
	}
	if d.info.Revision, err = d.chip.Revision(ctx, registers{d, "reading the chip's revision"}); err != nil {
		return err
	}
	mac, err := d.chip.MAC(ctx, registers{d, "reading the MAC address"})
	if err != nil {
		return err
	}
	d.info.MAC = mac[:]
	if d.chip.Prepare != nil {
		if err := d.chip.Prepare(ctx, registers{d, "switching the watchdogs off"}, d.info.Revision); err != nil {
			return err
		}
	}
	return d.attachFlash(ctx)
}
