package chips

import "context"

// Registers of the ESP32-C3 (technical reference manual, chapters eFuse
// Controller, SPI Controller and Low-power Management).
const (
	c3EfuseBlock1 = 0x60008844 // MAC, revision; word n at +4n
	c3SPI         = 0x60002000 // SPI1, the flash's controller

	c3RTCWDTConfig  = 0x60008090
	c3RTCWDTProtect = 0x600080A8
	c3RTCWDTKey     = 0x50D83AA1
	c3SWDConfig     = 0x600080AC
	c3SWDProtect    = 0x600080B0
	c3SWDKey        = 0x8F1D312A
	c3SWDAutoFeed   = 1 << 31

	// A variable of the ROM: which port its loader talks on. It moved with
	// revision 1.1 of the silicon.
	c3PortInUse    = 0x3FCDF07C
	c3PortInUseV11 = 0x3FCDF078
	c3PortUSB      = 3 // USB Serial/JTAG
)

func esp32c3() *Chip {
	return &Chip{
		Name:             "esp32c3",
		Title:            "ESP32-C3",
		ImageID:          5,
		Magic:            []uint32{0x6921506F, 0x1B31506F, 0x4881606F, 0x4361606F},
		BootloaderOffset: 0x0,
		EncryptedWord:    true,
		USBSerialJTAG:    true,
		ExactDeflate:     true,
		SPI: SPI{
			Cmd: c3SPI, Usr: c3SPI + 0x18, Usr1: c3SPI + 0x1C, Usr2: c3SPI + 0x20,
			MosiLen: c3SPI + 0x24, MisoLen: c3SPI + 0x28, W0: c3SPI + 0x58,
		},
		Frequencies: map[string]byte{"80m": 0xF, "40m": 0x0, "26m": 0x1, "20m": 0x2},
		MAC: func(ctx context.Context, r Registers) ([6]byte, error) {
			w, err := words(ctx, r, c3EfuseBlock1, c3EfuseBlock1+4)
			if err != nil {
				return [6]byte{}, err
			}
			return mac(w[1], w[0]), nil
		},
		Revision: func(ctx context.Context, r Registers) (Revision, error) {
			w, err := words(ctx, r, c3EfuseBlock1+12, c3EfuseBlock1+20)
			if err != nil {
				return Revision{}, err
			}
			return Revision{
				Major: int(w[1] >> 24 & 3),
				Minor: int(w[1]>>23&1<<3 | w[0]>>18&7),
			}, nil
		},
		Prepare: c3Prepare,
	}
}

// c3Prepare switches the watchdogs off when the loader talks over the chip's
// own USB port: a reset over USB leaves them running, and they would restart
// the chip in the middle of an erase. Over a UART the ROM has them off already.
func c3Prepare(ctx context.Context, r Registers, rev Revision) error {
	where := uint32(c3PortInUse)
	if rev.Number() >= 101 {
		where = c3PortInUseV11
	}
	inUse, err := r.ReadReg(ctx, where)
	if err != nil {
		return err
	}
	if inUse&0xFF != c3PortUSB {
		return nil
	}
	swd, err := r.ReadReg(ctx, c3SWDConfig)
	if err != nil {
		return err
	}
	for _, w := range [][2]uint32{
		{c3RTCWDTProtect, c3RTCWDTKey}, {c3RTCWDTConfig, 0}, {c3RTCWDTProtect, 0},
		{c3SWDProtect, c3SWDKey}, {c3SWDConfig, swd | c3SWDAutoFeed}, {c3SWDProtect, 0},
	} {
		if err := r.WriteReg(ctx, w[0], w[1]); err != nil {
			return err
		}
	}
	return nil
}
