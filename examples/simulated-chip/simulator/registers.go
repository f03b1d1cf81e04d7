package simulator

// registers is the peripheral space as a loader's READ_REG and WRITE_REG see
// it: fuses, the SPI controller of the flash, the RTC watchdog, and plain
// storage for the rest.
type registers struct {
	chip  *Chip
	fuses map[uint32]uint32
	words map[uint32]uint32
}

func newRegisters(c *Chip) *registers {
	return &registers{chip: c, fuses: c.model.fuses(c), words: make(map[uint32]uint32)}
}

// reset drops the written values, as a reset of the chip does.
func (r *registers) reset() { r.words = make(map[uint32]uint32) }

func (r *registers) read(addr uint32) uint32 {
	if w, is := r.fuses[addr]; is {
		return w
	}
	if addr == r.chip.model.uartClkDiv {
		// The divider is the crystal's rate over the line's, in sixteenths.
		crystal, baud := uint64(40_000_000), uint64(r.chip.baud)
		if c := r.chip.model.crystal; c != 0 {
			crystal = c
		}
		return uint32(crystal/baud) | uint32(crystal*16/baud%16)<<20
	}
	return r.words[addr]
}

func (r *registers) write(addr, value, mask uint32) {
	if _, is := r.fuses[addr]; is {
		return // read-only
	}
	m := r.chip.model
	if wdt := m.wdt; (addr == wdt.config0 || addr == wdt.config1) && r.words[wdt.protect] != wdtKey {
		return // write-protected
	}
	r.words[addr] = r.words[addr]&^mask | value&mask
	if addr == m.spi.base && r.words[addr]&spiUser != 0 {
		r.words[addr] &^= spiUser // the hardware clears it when it is done
		r.userCommand()
	}
}

// watchdogTicks returns the number of ticks of the slow clock after which the RTC
// watchdog resets the chip, or zero if it is off.
func (r *registers) watchdogTicks() uint32 {
	const enabled = 1 << 31
	if r.words[r.chip.model.wdt.config0]&enabled == 0 {
		return 0
	}
	return max(r.words[r.chip.model.wdt.config1], 1)
}
