package chips

// Registers of the ESP32-C61 (technical reference manual, chapters eFuse Controller, SPI Controller and Low-power Management).
const c61Efuse = 0x600B4844 // block 1: MAC, revision; word n at +4n

func esp32c61() *Chip {
	lp := lowPower{config0: 0x600B1C00, protect: 0x600B1C00 + 0x18, swd: 0x600B1C00 + 0x1C, swdProtect: 0x600B1C00 + 0x20, swdKey: wdtKey, autoFeed: 1 << 18}
	return &Chip{
		Name:             "esp32c61",
		Title:            "ESP32-C61",
		ImageID:          20,
		BootloaderOffset: 0x0,
		EncryptedWord:    true,
		USBSerialJTAG:    true,
		SPI:              spiAt(0x60003000),
		Frequencies:      map[string]byte{"80m": 0xF, "40m": 0x0, "20m": 0x2},
		MAC:              macAt(c61Efuse),
		Revision: revisionAt(
			[]field{{c61Efuse + 8, 4, 2}},
			[]field{{c61Efuse + 8, 0, 4}}),
		Prepare:  lp.silence,
		Watchdog: lp.reset,
	}
}
