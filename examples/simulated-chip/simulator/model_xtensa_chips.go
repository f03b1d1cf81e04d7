package simulator

import "encoding/binary"

// The Xtensa chips beside the ESP32. Their code is not run.

// esp8266 describes an ESP8266EX. Its ROM knows few commands, and ends its answers with
// two bytes of status.
func esp8266() *model {
	m := modern("esp8266", "ESP8266", 0xFFFF, 0x60000200)
	m.beginSize, m.security, m.statusLen = 16, false, 2
	m.commands = []Opcode{FlashBegin, FlashData, FlashEnd, MemBegin, MemData, MemEnd, Sync, ReadReg, WriteReg}
	m.spi = spiLayout{base: 0x60000200, addr: 0x04, usr: 0x1C, usr1: 0x20, usr2: 0x24, window: 0x40, lengthInUsr1: true}
	m.ram = []span{{0x3FFE8000, 0x40000000}, {0x40100000, 0x40110000}}
	m.magic, m.crystal = 0xFFF0C101, 2*26_000_000 // its UART's clock is twice the crystal's
	m.special = func(mac []byte) map[uint32]uint32 {
		return map[uint32]uint32{
			0x3FF00050: uint32(mac[5]) << 24,
			0x3FF00054: uint32(mac[3])<<8 | uint32(mac[4]),
			0x3FF0005C: uint32(mac[0])<<16 | uint32(mac[1])<<8 | uint32(mac[2]),
		}
	}
	return m
}

// esp32s2 describes an ESP32-S2 of revision 1.0. Its GET_SECURITY_INFO has no chip id.
func esp32s2() *model {
	m := modern("esp32s2", "ESP32-S2", 2, 0x3F402000)
	m.imageOffset, m.magic, m.uartClkDiv = 0x1000, 0x000007C6, 0x3F400014
	m.wdt = wdtLayout{config0: 0x3F408094, config1: 0x3F408098, protect: 0x3F4080AC}
	m.ram = []span{{0x3FFB0000, 0x40000000}, {0x40020000, 0x40070000}}
	m.mac, m.revision = 0x3F41A044, map[uint32]uint32{0x3F41A050: 1 << 18}
	m.bootSecure = map[Kind]fuse{FlashEncryption: {0x3F41A034, 1 << 18}, SecureBoot: {0x3F41A038, 1 << 20}}
	return m
}

// esp32s3 describes an ESP32-S3 of revision 0.2.
func esp32s3() *model {
	m := modern("esp32s3", "ESP32-S3", 9, 0x60002000)
	m.magic = 9
	m.wdt = wdtLayout{config0: 0x60008098, config1: 0x6000809C, protect: 0x600080B0}
	m.ram = []span{{0x3FC88000, 0x3FD00000}, {0x40370000, 0x403E0000}}
	m.mac, m.revision = 0x60007044, map[uint32]uint32{0x60007050: 2 << 18}
	m.bootSecure = map[Kind]fuse{FlashEncryption: {0x60007034, 1 << 18}, SecureBoot: {0x60007038, 1 << 20}}
	return m
}

// modern begins a model with what most chips since the ESP32-S2 have in common.
func modern(name, title string, id uint16, spi uint32) *model {
	m := &model{
		name: name, title: title, imageChipID: id, beginSize: 20, security: true, flushesWindow: true,
		spi: spiLayout{base: spi, addr: 0x04, usr: 0x18, usr1: 0x1C, usr2: 0x20,
			mosiLen: 0x24, misoLen: 0x28, window: 0x58},
		uartClkDiv: 0x60000014,
		crystal:    40_000_000,
		banner:     "ESP-ROM:" + name + "-simulated\r\n",
		disabled:   "Download mode is disabled\r\n",
		bootLine:   esp32c3().bootLine,
	}
	m.fuses = func(c *Chip) map[uint32]uint32 {
		words := map[uint32]uint32{}
		for addr, w := range m.revision {
			words[addr] = w
		}
		if m.magic != 0 {
			words[0x40001000] = m.magic
		}
		if m.mac != 0 {
			words[m.mac] |= binary.BigEndian.Uint32(c.cfg.MAC[2:])
			words[m.mac+4] |= uint32(binary.BigEndian.Uint16(c.cfg.MAC))
		}
		if m.special != nil {
			for addr, w := range m.special(c.cfg.MAC) {
				words[addr] = w
			}
		}
		for kind, f := range m.bootSecure {
			if c.faults.has(kind) {
				words[f.addr] |= f.bit
			}
		}
		return words
	}
	return m
}
