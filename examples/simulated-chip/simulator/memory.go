package simulator

import "encoding/binary"

// memory is an ESP32-C3's: flash in two windows, SRAM in two views, RTC memory.
//
//	0x3C000000  flash, as data           0x42000000  the same, as code
//	0x3FC80000  SRAM, 384 KiB, as data   0x40380000  the same, as code
//	0x4037C000  16 KiB of SRAM for code  0x50000000  8 KiB of RTC memory
type memory struct {
	flash, sram, icache, rtc []byte
}

const flashWindow = 8 << 20

func newMemory(flash []byte) memory {
	return memory{
		flash:  flash[:min(len(flash), flashWindow)],
		sram:   make([]byte, 0x60000),
		icache: make([]byte, 0x4000),
		rtc:    make([]byte, 0x2000),
	}
}

// region returns the memory behind an address and the offset in it.
func (m *memory) region(addr uint32) ([]byte, uint32) {
	switch addr >> 24 {
	case 0x42, 0x3C:
		return m.flash, addr & 0xFFFFFF
	case 0x3F:
		return m.sram, addr - 0x3FC80000
	case 0x40:
		if addr < 0x40380000 {
			return m.icache, addr - 0x4037C000
		}
		return m.sram, addr - 0x40380000
	case 0x50:
		return m.rtc, addr - 0x50000000
	}
	return nil, 0
}

// at returns n bytes of memory, nil where there are none. Offsets below a
// region wrap to far beyond its end.
func (m *memory) at(addr uint32, n int) []byte {
	p, off := m.region(addr)
	if uint64(off)+uint64(n) > uint64(len(p)) {
		return nil
	}
	return p[off : off+uint32(n)]
}

// fetch reads an instruction; in the data view of SRAM and flash there are none.
func (m *memory) fetch(addr uint32) (uint32, bool) {
	if top := addr >> 24; top == 0x3C || top == 0x3F {
		return 0, false
	}
	p, off := m.region(addr)
	switch left := uint64(len(p)) - min(uint64(off), uint64(len(p))); {
	case left >= 4:
		return binary.LittleEndian.Uint32(p[off:]), true
	case left >= 2:
		return uint32(binary.LittleEndian.Uint16(p[off:])), true
	}
	return 0, false
}

func (m *memory) inFlash(addr uint32) bool { return addr>>24 == 0x42 || addr>>24 == 0x3C }

func isPeripheral(addr uint32) bool { return addr >= 0x60000000 && addr < 0x600D1000 }
func inROM(addr uint32) bool        { return addr >= 0x40000000 && addr < 0x40060000 }

// little reads width bytes.
func little(p []byte, width int) uint32 {
	switch width {
	case 1:
		return uint32(p[0])
	case 2:
		return uint32(binary.LittleEndian.Uint16(p))
	}
	return binary.LittleEndian.Uint32(p)
}
