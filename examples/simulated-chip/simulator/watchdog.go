package simulator

import "github.com/farforge/farforge/examples/simulated-chip/simulator/riscv"

// watchdog is one watchdog of the chip: a few registers behind a write-protection key,
// and a deadline. It covers the timer groups', the RTC's and the super watchdog, which
// differ in where things are.
type watchdog struct {
	cpu *riscv.CPU
	why reason

	config  uint32 // the register that switches it
	feed    uint32 // writing feedBit here feeds it
	protect uint32 // the register that takes the key
	first   uint32 // protected registers, first to last
	last    uint32
	key     uint32

	on      uint32 // any of these bits in config: it runs
	off     uint32 // any of these: it does not, or feeds itself
	feedBit uint32
	// cycles is the time-out in CPU cycles.
	cycles func(d *watchdog) uint64

	words map[uint32]uint32
	fed   uint64
}

// watchdogs are those of an ESP32-C3 as the ROM leaves them when it boots from
// flash: timer group 0's and the RTC's in their flash-boot mode, and the super
// watchdog. A program must feed them or switch them off.
func watchdogs(cpu *riscv.CPU) []*watchdog {
	const swdKey = 0x8F1D312A
	var dogs []*watchdog
	for group, base := range []uint32{0x6001F000, 0x60020000} {
		d := &watchdog{
			cpu: cpu, why: timerWatchdog, config: base + 0x48, feed: base + 0x60, protect: base + 0x64,
			first: base + 0x48, last: base + 0x60, key: wdtKey,
			on: 1<<31 | 1<<14, feedBit: 0xFFFFFFFF,
			cycles: func(d *watchdog) uint64 {
				const apbHz = 40_000_000
				prescale := uint64(max(d.words[base+0x4C]>>16, 1))
				return uint64(d.words[base+0x50]) * prescale * cpuHz / apbHz
			},
			words: map[uint32]uint32{base + 0x4C: 1 << 16, base + 0x50: 26_000_000, base + 0x64: wdtKey},
		}
		if group == 0 {
			d.words[d.config] = 1 << 14
		}
		dogs = append(dogs, d)
	}
	const rtc = 0x60008000
	slow := func(ticks uint64) uint64 { return ticks * cpuHz / 136_000 }
	return append(dogs, &watchdog{
		cpu: cpu, why: rtcWatchdog, config: rtc + 0x90, feed: rtc + 0xA4, protect: rtc + 0xA8,
		first: rtc + 0x90, last: rtc + 0xA4, key: wdtKey,
		on: 1<<31 | 1<<12, feedBit: 1 << 31,
		cycles: func(d *watchdog) uint64 { return slow(2 * uint64(d.words[rtc+0x94])) },
		words:  map[uint32]uint32{rtc + 0x90: 1 << 12, rtc + 0x94: 200_000},
	}, &watchdog{
		cpu: cpu, why: superWatchdog, config: rtc + 0xAC, feed: rtc + 0xAC, protect: rtc + 0xB0,
		first: rtc + 0xAC, last: rtc + 0xAC, key: swdKey,
		on: 0, off: 1<<31 | 1<<30, feedBit: 1 << 29,
		cycles: func(*watchdog) uint64 { return cpuHz },
		words:  map[uint32]uint32{},
	})
}

func (d *watchdog) owns(addr uint32) bool {
	return addr == d.protect || addr >= d.first && addr <= d.last
}

func (d *watchdog) read(addr uint32) (uint32, bool) { return d.words[addr], d.owns(addr) }

// write reports whether the register is this watchdog's.
func (d *watchdog) write(addr, v, mask uint32) bool {
	if !d.owns(addr) {
		return false
	}
	if addr != d.protect && d.words[d.protect] != d.key {
		return true // protected: ignored
	}
	if addr == d.feed && v&d.feedBit != 0 || addr == d.config {
		d.fed = d.cpu.Cycles
	}
	if addr == d.feed {
		v &^= d.feedBit // the feed bit reads as zero
	}
	d.words[addr] = d.words[addr]&^mask | v&mask
	return true
}

// expired reports whether its time is over.
func (d *watchdog) expired() bool {
	config := d.words[d.config]
	running := d.on == 0 || config&d.on != 0
	if !running || config&d.off != 0 {
		d.fed = d.cpu.Cycles
		return false
	}
	return d.cpu.Cycles-d.fed > d.cycles(d)
}
