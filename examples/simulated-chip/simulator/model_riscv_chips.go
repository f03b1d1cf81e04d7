package simulator

// The RISC-V chips after the ESP32-C3. Their code is not run. A ROM that was not measured
// is assumed to do the same harm as an ESP32's.

// esp32c2 describes an ESP32-C2 of revision 1.1 with a crystal of 40 MHz.
func esp32c2() *model {
	m := modern("esp32c2", "ESP32-C2", 12, 0x60002000)
	m.wdt = wdtLayout{config0: 0x60008084, config1: 0x60008088, protect: 0x6000809C}
	m.ram = []span{{0x3FCA0000, 0x3FCE0000}, {0x4037C000, 0x403C0000}}
	m.mac, m.revision = 0x60008840, map[uint32]uint32{0x60008844: 1<<20 | 1<<16}
	m.bootSecure = map[Kind]fuse{FlashEncryption: {0x60008830, 1 << 7}, SecureBoot: {0x60008830, 1 << 21}}
	return m
}

// esp32c6 describes an ESP32-C6 of revision 0.2.
func esp32c6() *model {
	m := modern("esp32c6", "ESP32-C6", 13, 0x60003000)
	m.wdt = wdtLayout{config0: 0x600B1C00, config1: 0x600B1C04, protect: 0x600B1C18}
	m.ram = []span{{0x40800000, 0x40880000}, {0x50000000, 0x50004000}}
	m.mac, m.revision = 0x600B0844, map[uint32]uint32{0x600B0850: 2 << 18}
	m.bootSecure = map[Kind]fuse{FlashEncryption: {0x600B0834, 1 << 18}, SecureBoot: {0x600B0838, 1 << 20}}
	return m
}

// esp32h2 describes an ESP32-H2 of revision 1.2.
func esp32h2() *model {
	m := modern("esp32h2", "ESP32-H2", 16, 0x60003000)
	m.wdt = wdtLayout{config0: 0x600B1C00, config1: 0x600B1C04, protect: 0x600B1C1C}
	m.ram = []span{{0x40800000, 0x40850000}, {0x50000000, 0x50001000}}
	m.mac, m.revision = 0x600B0844, map[uint32]uint32{0x600B0850: 1<<21 | 2<<18}
	m.bootSecure = map[Kind]fuse{FlashEncryption: {0x600B0834, 1 << 18}, SecureBoot: {0x600B0838, 1 << 20}}
	m.crystal = 32_000_000
	return m
}

// esp32p4 describes an ESP32-P4 of revision 1.0.
func esp32p4() *model {
	m := modern("esp32p4", "ESP32-P4", 18, 0x5008D000)
	m.imageOffset = 0x2000
	m.wdt = wdtLayout{config0: 0x50116000, config1: 0x50116004, protect: 0x50116018}
	m.ram = []span{{0x4FF00000, 0x4FFC0000}, {0x30100000, 0x30102000}}
	m.mac, m.revision = 0x5012D044, map[uint32]uint32{0x5012D04C: 1 << 4}
	m.bootSecure = map[Kind]fuse{FlashEncryption: {0x5012D034, 1 << 18}, SecureBoot: {0x5012D038, 1 << 20}}
	return m
}

// esp32c61 describes an ESP32-C61 of revision 1.0.
func esp32c61() *model {
	m := modern("esp32c61", "ESP32-C61", 20, 0x60003000)
	m.wdt = wdtLayout{config0: 0x600B1C00, config1: 0x600B1C04, protect: 0x600B1C18}
	m.ram = []span{{0x40800000, 0x40850000}, {0x50000000, 0x50004000}}
	m.mac, m.revision = 0x600B4844, map[uint32]uint32{0x600B484C: 1 << 4}
	m.bootSecure = map[Kind]fuse{FlashEncryption: {0x600B4830, 1 << 23}, SecureBoot: {0x600B4834, 1 << 26}}
	return m
}

// esp32c5 describes an ESP32-C5 of revision 1.0 with a crystal of 48 MHz, as its ROM
// expects.
func esp32c5() *model {
	m := modern("esp32c5", "ESP32-C5", 23, 0x60003000)
	m.imageOffset = 0x2000
	m.wdt = wdtLayout{config0: 0x600B1C00, config1: 0x600B1C04, protect: 0x600B1C18}
	m.ram = []span{{0x40800000, 0x40860000}, {0x50000000, 0x50004000}}
	m.mac, m.revision = 0x600B4844, map[uint32]uint32{0x600B484C: 1 << 4, 0x60096110: 48 << 24}
	m.bootSecure = map[Kind]fuse{FlashEncryption: {0x600B4834, 1 << 16}, SecureBoot: {0x600B4838, 1 << 25}}
	m.crystal = 48_000_000
	return m
}
