package chips

import "context"

// Registers of the ESP32-C3 (technical reference manual, chapters eFuse Controller,
// SPI Controller and Low-power Management).
const (
	c3Efuse = 0x60008844 // block 1: MAC, revision; word n at +4n

	// A variable of the ROM that holds the port of its loader. It moved with revision 1.1
	// of the silicon.
	c3PortInUse    = 0x3FCDF07C
	c3PortInUseV11 = 0x3FCDF078
	c3PortUSB      = 3 // USB Serial/JTAG
)

func esp32c3() *Chip {
	lp := lowPower{config0: 0x60008090, protect: 0x600080A8, swd: 0x600080AC, swdProtect: 0x600080B0, swdKey: swdKey, autoFeed: 1 << 31}
	return &Chip{
		Name:             "esp32c3",
		Title:            "ESP32-C3",
		ImageID:          5,
		Magic:            []uint32{0x6921506F, 0x1B31506F, 0x4881606F, 0x4361606F},
		BootloaderOffset: 0x0,
		EncryptedWord:    true,
		USBSerialJTAG:    true,
		ExactDeflate:     true,
		SPI:              spiAt(0x60002000),
		Frequencies:      map[string]byte{"80m": 0xF, "40m": 0x0, "26m": 0x1, "20m": 0x2},
		MAC:              macAt(c3Efuse),
		Revision: revisionAt(
			[]field{{c3Efuse + 20, 24, 2}},
			[]field{{c3Efuse + 20, 23, 1}, {c3Efuse + 12, 18, 3}}),
		Watchdog: lp.reset,
		Prepare: func(ctx context.Context, r Registers, rev Revision) error {
			where := uint32(c3PortInUse)
			if rev.Number() >= 101 {
				where = c3PortInUseV11
			}
			if inUse, err := r.ReadReg(ctx, where); err != nil || inUse&0xFF != c3PortUSB {
				return err
			}
			return lp.silence(ctx, r, rev)
		},
	}
}
