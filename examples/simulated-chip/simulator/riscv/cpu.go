// Package riscv interprets RV32IMC with the machine-mode registers of an
// ESP32-C3's processor: 32-bit integers, multiplication, compressed
// instructions, one privilege level, no interrupts, no floating point.
//
//	      ┌─────────────┐ Fetch, Load, Store ┌─────┐
//	Step ▶│ CPU: x1…x31 ├───────────────────▶│ Bus │ memory and peripherals,
//	      │ pc, CSRs    │                    │     │ the caller's
//	      └─────────────┘                    └─────┘
//
// Compressed instructions are expanded to the full ones they stand for, so that
// there is one place where each is executed. A fault goes to the handler that
// the program set in mtvec; without one Step returns it as a *[Trap].
//
// It follows the RISC-V Instruction Set Manual (volume I: RV32I 2.1, M 2.0,
// C 2.0, Zicsr 2.0; volume II: machine mode) and, for the chip's own control
// registers, the ESP32-C3 Technical Reference Manual, chapter "High-Performance
// CPU".
package riscv

import "fmt"

// Bus connects the processor with memory and peripherals. Addresses are byte addresses;
// values are little-endian. A false result is an access fault.
type Bus interface {
	// Fetch reads the 32 bits at an even address for execution. Where only 16
	// bits are left in a memory the upper half is zero.
	Fetch(addr uint32) (uint32, bool)
	// Load reads width (1, 2 or 4) bytes, zero-extended.
	Load(addr uint32, width int) (uint32, bool)
	// Store writes the low width (1, 2 or 4) bytes of v.
	Store(addr uint32, width int, v uint32) bool
}

// CPU is one processor. It is not safe for concurrent use.
type CPU struct {
	X  [32]uint32 // X[0] is always zero
	PC uint32
	// Cycles counts clock cycles. Step adds CyclesPerInstruction; the owner may
	// add more, for slow memory.
	Cycles uint64
	// CyclesPerInstruction is the price of an instruction; zero means 1.
	CyclesPerInstruction uint64
	// Waiting is set by WFI. The owner clears it.
	Waiting bool

	bus Bus
	csr csrFile
}

// New makes a processor that starts at pc.
func New(bus Bus, pc uint32) *CPU {
	return &CPU{bus: bus, PC: pc, csr: newCSRFile()}
}

// Cause is why a trap was taken, with mcause's numbers.
type Cause uint32

// The causes that this processor knows.
const (
	FetchMisaligned    Cause = 0
	FetchFault         Cause = 1
	IllegalInstruction Cause = 2
	Breakpoint         Cause = 3
	LoadFault          Cause = 5
	StoreFault         Cause = 7
	EnvironmentCall    Cause = 11
)

// String names the cause as panic messages of the chip's software do.
func (c Cause) String() string {
	switch c {
	case FetchMisaligned:
		return "Instruction address misaligned"
	case FetchFault:
		return "Instruction access fault"
	case IllegalInstruction:
		return "Illegal instruction"
	case Breakpoint:
		return "Breakpoint"
	case LoadFault:
		return "Load access fault"
	case StoreFault:
		return "Store access fault"
	case EnvironmentCall:
		return "Environment call"
	}
	return fmt.Sprintf("Exception %d", uint32(c))
}

// Trap is an exception that the program has no handler for.
type Trap struct {
	Cause Cause
	PC    uint32 // of the instruction that caused it
	Value uint32 // the address or the instruction at fault
}

// Error describes the trap.
func (t *Trap) Error() string {
	return fmt.Sprintf("%s at pc 0x%08x (value 0x%08x)", t.Cause, t.PC, t.Value)
}

// Step executes one instruction. Its error is always a *Trap; the processor
// then still stands at the instruction at fault.
func (c *CPU) Step() error {
	c.Cycles += max(c.CyclesPerInstruction, 1)
	word, mapped := c.bus.Fetch(c.PC)
	if !mapped {
		return c.trap(FetchFault, c.PC)
	}
	size := uint32(4)
	insn := word
	if word&3 != 3 {
		size = 2
		word &= 0xFFFF
		var legal bool
		if insn, legal = expand(uint16(word)); !legal {
			return c.trap(IllegalInstruction, word)
		}
	}
	next, cause, value := c.execute(insn, c.PC+size)
	if cause != none {
		if cause == IllegalInstruction {
			value = word
		}
		return c.trap(cause, value)
	}
	if next&1 != 0 {
		return c.trap(FetchMisaligned, next)
	}
	c.PC = next
	c.X[0] = 0
	return nil
}

// none means no cause.
const none Cause = 0xFFFFFFFF

// trap enters the program's handler, or reports that there is none.
func (c *CPU) trap(cause Cause, value uint32) error {
	c.X[0] = 0
	if c.csr.vector&^3 == 0 {
		return &Trap{cause, c.PC, value}
	}
	c.csr.enter(cause, c.PC, value)
	c.PC = c.csr.vector &^ 3
	return nil
}
