package simulator

import (
	"fmt"
	"time"

	"github.com/farforge/farforge/examples/simulated-chip/simulator/riscv"
)

// The speed of a program. The ROM leaves an ESP32-C3 at 20 MHz. An instruction takes two
// cycles because of the flash, and more on the peripheral bus.
const (
	cpuHz                = 20_000_000
	cyclesPerInstruction = 2
	cyclesPerPeripheral  = 8

	// slice is how long a program runs before the session looks at the cable again, and
	// rests between slices. A program gets the cycles of the time that passed, at most
	// maxSlice, and at most half a slice of the machine's own time: on a slow machine its
	// clock falls behind rather than using a whole core.
	slice    = 10 * time.Millisecond
	maxSlice = 50 * time.Millisecond
	// panicPause is the time between a panic's message and the reset.
	panicPause = 500 * time.Millisecond
)

// machine runs an ESP32-C3's program.
type machine struct {
	cpu    *riscv.CPU
	memory memory
	chip   *peripherals
	last   time.Time
	target uint64 // the cycle that the program may run to
	after  reason // why the chip resets when a panic was shown; stays: not yet
	halted bool
}

// newMachine loads the image as the ROM does, and stops at its entry point.
func newMachine(bus *registers, flash []byte, img *bootImage) *machine {
	m := &machine{}
	m.memory = newMemory(flash)
	m.cpu = riscv.New(m, img.entry)
	m.cpu.CyclesPerInstruction = cyclesPerInstruction
	m.chip = newPeripherals(m.cpu, bus)
	for _, seg := range img.segments {
		if place := m.memory.at(seg.addr, len(seg.data)); place != nil && seg.addr != 0 {
			copy(place, seg.data)
		}
	}
	return m
}

func (m *machine) input(p []byte) { m.chip.uart.receive(p) }

// step runs one slice.
func (m *machine) step(s *session, now time.Time) (time.Duration, reason) {
	if m.halted || m.after != stays {
		return 0, m.after
	}
	passed := slice
	if !m.last.IsZero() {
		passed = min(max(now.Sub(m.last), time.Millisecond), maxSlice)
	}
	m.last = now
	m.target += uint64(passed) * cpuHz / uint64(time.Second)
	m.cpu.Waiting = false
	err := m.run(s.cfg.Clock, now)
	if out := m.chip.uart.take(); len(out) > 0 {
		s.console(out)
	}
	if err != nil {
		return m.fault(s, err)
	}
	return slice, m.chip.expired()
}

// run executes up to the target, in batches. After each batch it checks the watchdogs and
// the machine's clock.
func (m *machine) run(clock Clock, began time.Time) error {
	const batch = 2000
	for m.cpu.Cycles < m.target {
		for range batch {
			if err := m.cpu.Step(); err != nil {
				return err
			}
			if m.cpu.Waiting || m.cpu.Cycles >= m.target {
				break
			}
		}
		if m.cpu.Waiting {
			m.cpu.Cycles = m.target // there are no interrupts to wait for: time passes
		}
		if m.chip.expired() != stays {
			return nil
		}
		if clock.Now().Sub(began) > slice/2 {
			m.target = m.cpu.Cycles
		}
	}
	return nil
}

// fault prints the cause of a panic, and lets the chip reset.
func (m *machine) fault(s *session, err error) (time.Duration, reason) {
	trap := err.(*riscv.Trap) // Step returns nothing else
	if trap.Cause == riscv.FetchFault && inROM(trap.Value) {
		s.console(fmt.Appendf(nil, "[simulation] the program called the chip's ROM at 0x%08x, which the simulation does not have; it stops here\r\n", trap.Value))
		m.halted = true
		return 0, stays
	}
	s.console(fmt.Appendf(nil, "\r\nGuru Meditation Error: Core 0 panic'ed (%s). PC 0x%08x, value 0x%08x\r\nRebooting...\r\n",
		trap.Cause, trap.PC, trap.Value))
	m.after = panicked
	return panicPause, stays
}

// Fetch, Load and Store make a machine the bus of the processor.
func (m *machine) Fetch(addr uint32) (uint32, bool) { return m.memory.fetch(addr) }

func (m *machine) Load(addr uint32, width int) (uint32, bool) {
	if p := m.memory.at(addr, width); p != nil {
		return little(p, width), true
	}
	if !isPeripheral(addr) {
		return 0, false
	}
	m.cpu.Cycles += cyclesPerPeripheral
	word := m.chip.read(addr &^ 3)
	return word >> (addr & 3 * 8) & (1<<(8*width) - 1), addr&3+uint32(width) <= 4
}

func (m *machine) Store(addr uint32, width int, v uint32) bool {
	if p := m.memory.at(addr, width); p != nil {
		if m.memory.inFlash(addr) {
			return false
		}
		for i := range width {
			p[i] = byte(v >> (8 * i))
		}
		return true
	}
	if !isPeripheral(addr) || addr&3+uint32(width) > 4 {
		return false
	}
	m.cpu.Cycles += cyclesPerPeripheral
	shift := addr & 3 * 8
	mask := uint32(1<<(8*width)-1) << shift
	m.chip.write(addr&^3, v<<shift&mask, mask)
	return true
}
