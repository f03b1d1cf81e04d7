package chips

import "context"

// Registers of the ESP32-C5 (technical reference manual, chapters eFuse Controller, SPI Controller and Low-power Management).
const c5Efuse = 0x600B4844 // block 1: MAC, revision; word n at +4n

func esp32c5() *Chip {
	lp := lowPower{config0: 0x600B1C00, protect: 0x600B1C00 + 0x18, swd: 0x600B1C00 + 0x1C, swdProtect: 0x600B1C00 + 0x20, swdKey: wdtKey, autoFeed: 1 << 18}
	return &Chip{
		Name:             "esp32c5",
		Title:            "ESP32-C5",
		ImageID:          23,
		BootloaderOffset: 0x2000,
		EncryptedWord:    true,
		USBSerialJTAG:    true,
		SPI:              spiAt(0x60003000),
		Frequencies:      map[string]byte{"80m": 0xF, "40m": 0x0, "20m": 0x2},
		MAC:              macAt(c5Efuse),
		Revision: revisionAt(
			[]field{{c5Efuse + 8, 4, 2}},
			[]field{{c5Efuse + 8, 0, 4}}),
		Prepare:  lp.silence,
		Watchdog: lp.reset,
		BaudWord: c5BaudWord,
	}
}

// c5BaudWord corrects an error of the ROM, which may mistake a crystal of 40 MHz for one
// of 48 MHz, or the reverse.
func c5BaudWord(ctx context.Context, r Registers, baud, now int) (uint32, error) {
	const pcrSysclkConf = 0x60096110 // bits 24 to 30: the crystal that the ROM expects, in MHz
	divider, err := r.ReadReg(ctx, uartDivider)
	if err != nil {
		return 0, err
	}
	expected, err := number(ctx, r, []field{{pcrSysclkConf, 24, 7}})
	if err != nil {
		return 0, err
	}
	crystal := 40
	if uint64(divider&0xFFFFF)*uint64(now) > 45e6 {
		crystal = 48
	}
	if expected != 40 && expected != 48 {
		expected = crystal
	}
	return uint32(baud * expected / crystal), nil
}
