package chips

// Registers of the ESP32-C6 (technical reference manual, chapters eFuse Controller, SPI Controller and Low-power Management).
const c6Efuse = 0x600B0844 // block 1: MAC, revision; word n at +4n

func esp32c6() *Chip {
	lp := lowPower{config0: 0x600B1C00, protect: 0x600B1C00 + 0x18, swd: 0x600B1C00 + 0x1C, swdProtect: 0x600B1C00 + 0x20, swdKey: wdtKey, autoFeed: 1 << 18}
	return &Chip{
		Name:             "esp32c6",
		Title:            "ESP32-C6",
		ImageID:          13,
		BootloaderOffset: 0x0,
		EncryptedWord:    true,
		USBSerialJTAG:    true,
		SPI:              spiAt(0x60003000),
		Frequencies:      map[string]byte{"80m": 0x0, "40m": 0x0, "20m": 0x2},
		MAC:              macAt(c6Efuse),
		Revision: revisionAt(
			[]field{{c6Efuse + 12, 22, 2}},
			[]field{{c6Efuse + 12, 18, 4}}),
		Prepare:  lp.silence,
		Watchdog: lp.reset,
	}
}
