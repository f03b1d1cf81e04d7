package chips

import "context"

// Registers of the ESP32-C2 (technical reference manual, chapters eFuse Controller, SPI Controller and Low-power Management).
const c2Efuse = 0x60008840 // block 2: MAC, revision; word n at +4n

func esp32c2() *Chip {
	return &Chip{
		Name:             "esp32c2",
		Title:            "ESP32-C2",
		ImageID:          12,
		BootloaderOffset: 0x0,
		EncryptedWord:    true,
		SPI:              spiAt(0x60002000),
		Frequencies:      map[string]byte{"60m": 0xF, "30m": 0x0, "20m": 0x1, "15m": 0x2},
		MAC:              macAt(c2Efuse),
		Revision: revisionAt(
			[]field{{c2Efuse + 4, 20, 2}},
			[]field{{c2Efuse + 4, 16, 4}}),
		BaudWord: c2BaudWord,
	}
}

// c2BaudWord corrects an error of the ROM, which assumes a crystal of 40 MHz. The real
// crystal follows from the divider of its UART at a rate that is known to be right.
func c2BaudWord(ctx context.Context, r Registers, baud, now int) (uint32, error) {
	divider, err := r.ReadReg(ctx, uartDivider)
	if err != nil {
		return 0, err
	}
	if uint64(divider&0xFFFFF)*uint64(now) < 33e6 {
		return uint32(baud * 40 / 26), nil
	}
	return uint32(baud), nil
}
