package chips

// Registers of the ESP32-H2 (technical reference manual, chapters eFuse Controller, SPI Controller and Low-power Management).
const h2Efuse = 0x600B0844 // block 1: MAC, revision; word n at +4n

func esp32h2() *Chip {
	lp := lowPower{config0: 0x600B1C00, protect: 0x600B1C00 + 0x1C, swd: 0x600B1C00 + 0x20, swdProtect: 0x600B1C00 + 0x24, swdKey: wdtKey, autoFeed: 1 << 18}
	return &Chip{
		Name:             "esp32h2",
		Title:            "ESP32-H2",
		ImageID:          16,
		BootloaderOffset: 0x0,
		EncryptedWord:    true,
		USBSerialJTAG:    true,
		SPI:              spiAt(0x60003000),
		Frequencies:      map[string]byte{"48m": 0xF, "24m": 0x0, "16m": 0x1, "12m": 0x2},
		MAC:              macAt(h2Efuse),
		Revision: revisionAt(
			[]field{{h2Efuse + 12, 21, 2}},
			[]field{{h2Efuse + 12, 18, 3}}),
		Prepare:  lp.silence,
		Watchdog: lp.reset,
	}
}
