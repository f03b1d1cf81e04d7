package chips

// Registers of the ESP32-P4 (technical reference manual, chapters eFuse Controller, SPI Controller and Low-power Management).
const p4Efuse = 0x5012D044 // block 1: MAC, revision; word n at +4n

func esp32p4() *Chip {
	lp := lowPower{config0: 0x50116000, protect: 0x50116000 + 0x18, swd: 0x50116000 + 0x1C, swdProtect: 0x50116000 + 0x20, swdKey: wdtKey, autoFeed: 1 << 18}
	return &Chip{
		Name:             "esp32p4",
		Title:            "ESP32-P4",
		ImageID:          18,
		BootloaderOffset: 0x2000,
		EncryptedWord:    true,
		USBSerialJTAG:    true,
		SPI:              spiAt(0x5008D000),
		Frequencies:      map[string]byte{"80m": 0xF, "40m": 0x0, "26m": 0x1, "20m": 0x2},
		MAC:              macAt(p4Efuse),
		Revision: revisionAt(
			[]field{{p4Efuse + 8, 23, 1}, {p4Efuse + 8, 4, 2}},
			[]field{{p4Efuse + 8, 0, 4}}),
		Prepare:  lp.silence,
		Watchdog: lp.reset,
	}
}
