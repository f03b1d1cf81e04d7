package chips

// Registers of the ESP32-S2 (technical reference manual, chapters eFuse Controller, SPI Controller and Low-power Management).
const s2Efuse = 0x3F41A044 // block 1: MAC, revision; word n at +4n

func esp32s2() *Chip {
	lp := lowPower{config0: 0x3F408094, protect: 0x3F4080AC}
	return &Chip{
		Name:             "esp32s2",
		Title:            "ESP32-S2",
		ImageID:          2,
		Magic:            []uint32{0x000007C6},
		BootloaderOffset: 0x1000,
		EncryptedWord:    true,
		SPI:              spiAt(0x3F402000),
		Frequencies:      map[string]byte{"80m": 0xF, "40m": 0x0, "26m": 0x1, "20m": 0x2},
		MAC:              macAt(s2Efuse),
		Revision: revisionAt(
			[]field{{s2Efuse + 12, 18, 2}},
			[]field{{s2Efuse + 12, 20, 1}, {s2Efuse + 16, 4, 3}}),
		Watchdog: lp.reset,
	}
}
