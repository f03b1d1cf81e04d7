package riscv

import "math/bits"

// Fields of an instruction.
func rd(i uint32) uint32     { return i >> 7 & 31 }
func rs1(i uint32) uint32    { return i >> 15 & 31 }
func rs2(i uint32) uint32    { return i >> 20 & 31 }
func funct3(i uint32) uint32 { return i >> 12 & 7 }
func funct7(i uint32) uint32 { return i >> 25 }

// Immediates, sign-extended.
func immI(i uint32) uint32 { return uint32(int32(i) >> 20) }
func immS(i uint32) uint32 { return uint32(int32(i)>>25<<5) | i>>7&31 }
func immB(i uint32) uint32 {
	return uint32(int32(i)>>31<<12) | i>>7&1<<11 | i>>25&0x3F<<5 | i>>8&15<<1
}
func immJ(i uint32) uint32 {
	return uint32(int32(i)>>31<<20) | i&0xFF000 | i>>20&1<<11 | i>>21&0x3FF<<1
}

// Major opcodes.
const (
	opLoad   = 0x03
	opFence  = 0x0F
	opImm    = 0x13
	opAUIPC  = 0x17
	opStore  = 0x23
	opReg    = 0x33
	opLUI    = 0x37
	opBranch = 0x63
	opJALR   = 0x67
	opJAL    = 0x6F
	opSystem = 0x73
)

// execute runs a full-size instruction; next is the address behind it. It
// returns where to go on, or a cause and its value.
func (c *CPU) execute(i, next uint32) (uint32, Cause, uint32) {
	x := &c.X
	a, b := x[rs1(i)], x[rs2(i)]
	switch i & 0x7F {
	case opLUI:
		x[rd(i)] = i &^ 0xFFF
	case opAUIPC:
		x[rd(i)] = c.PC + i&^0xFFF
	case opJAL:
		x[rd(i)] = next
		return c.PC + immJ(i), none, 0
	case opJALR:
		if funct3(i) != 0 {
			return 0, IllegalInstruction, 0
		}
		x[rd(i)] = next
		return (a + immI(i)) &^ 1, none, 0
	case opBranch:
		taken, legal := branch(funct3(i), a, b)
		if !legal {
			return 0, IllegalInstruction, 0
		}
		if taken {
			return c.PC + immB(i), none, 0
		}
	case opLoad:
		return c.load(i, a+immI(i), next)
	case opStore:
		width := 1 << funct3(i)
		if width > 4 {
			return 0, IllegalInstruction, 0
		}
		if at := a + immS(i); !c.bus.Store(at, width, b) {
			return 0, StoreFault, at
		}
	case opImm:
		v, legal := arithmetic(funct3(i), immFunct7(i), a, immI(i))
		if !legal {
			return 0, IllegalInstruction, 0
		}
		x[rd(i)] = v
	case opReg:
		v, legal := arithmetic(funct3(i), funct7(i), a, b)
		if funct7(i) == 1 {
			v, legal = multiply(funct3(i), a, b), true
		}
		if !legal {
			return 0, IllegalInstruction, 0
		}
		x[rd(i)] = v
	case opFence: // one processor, no caches to speak of
		if funct3(i) > 1 {
			return 0, IllegalInstruction, 0
		}
	case opSystem:
		return c.system(i, a, next)
	default:
		return 0, IllegalInstruction, 0
	}
	return next, none, 0
}

// immFunct7 returns funct7 for immediate instructions, where only shifts have one.
func immFunct7(i uint32) uint32 {
	if f := funct3(i); f == 1 || f == 5 {
		return funct7(i)
	}
	return 0
}

func branch(f, a, b uint32) (taken, legal bool) {
	switch f {
	case 0:
		return a == b, true
	case 1:
		return a != b, true
	case 4:
		return int32(a) < int32(b), true
	case 5:
		return int32(a) >= int32(b), true
	case 6:
		return a < b, true
	case 7:
		return a >= b, true
	}
	return false, false
}

// arithmetic executes an integer instruction; f7 distinguishes SUB from ADD and SRA from
// SRL.
func arithmetic(f, f7, a, b uint32) (v uint32, legal bool) {
	if f7 != 0 && !(f7 == 0x20 && (f == 0 || f == 5)) {
		return 0, false
	}
	switch f {
	case 0:
		if f7 != 0 {
			return a - b, true
		}
		return a + b, true
	case 1:
		return a << (b & 31), true
	case 2:
		if int32(a) < int32(b) {
			return 1, true
		}
		return 0, true
	case 3:
		if a < b {
			return 1, true
		}
		return 0, true
	case 4:
		return a ^ b, true
	case 5:
		if f7 != 0 {
			return uint32(int32(a) >> (b & 31)), true
		}
		return a >> (b & 31), true
	case 6:
		return a | b, true
	}
	return a & b, true
}

// multiply executes the M extension. Division by zero and overflow do not trap.
func multiply(f, a, b uint32) uint32 {
	overflow := a == 1<<31 && b == 0xFFFFFFFF
	switch f {
	case 0:
		return a * b
	case 1:
		return uint32(int64(int32(a)) * int64(int32(b)) >> 32)
	case 2:
		return uint32(int64(int32(a)) * int64(b) >> 32)
	case 3:
		hi, _ := bits.Mul32(a, b)
		return hi
	case 4:
		switch {
		case b == 0:
			return 0xFFFFFFFF
		case overflow:
			return a
		}
		return uint32(int32(a) / int32(b))
	case 5:
		if b == 0 {
			return 0xFFFFFFFF
		}
		return a / b
	case 6:
		switch {
		case b == 0:
			return a
		case overflow:
			return 0
		}
		return uint32(int32(a) % int32(b))
	}
	if b == 0 {
		return a
	}
	return a % b
}

func (c *CPU) load(i, at, next uint32) (uint32, Cause, uint32) {
	f := funct3(i)
	width := 1 << (f & 3)
	if width > 4 || f == 6 {
		return 0, IllegalInstruction, 0
	}
	v, mapped := c.bus.Load(at, width)
	if !mapped {
		return 0, LoadFault, at
	}
	switch f {
	case 0:
		v = uint32(int8(v))
	case 1:
		v = uint32(int16(v))
	}
	c.X[rd(i)] = v
	return next, none, 0
}

// system executes ECALL, EBREAK, MRET, WFI and the CSR instructions.
func (c *CPU) system(i, a, next uint32) (uint32, Cause, uint32) {
	f := funct3(i)
	if f == 0 {
		switch i {
		case 0x00000073:
			return 0, EnvironmentCall, 0
		case 0x00100073:
			return 0, Breakpoint, c.PC
		case 0x30200073:
			return c.csr.leave(), none, 0
		case 0x10500073:
			c.Waiting = true
			return next, none, 0
		}
		return 0, IllegalInstruction, 0
	}
	if f == 4 {
		return 0, IllegalInstruction, 0
	}
	n := i >> 20
	if f > 4 {
		a = rs1(i) // the register number is the operand
	}
	old, known := c.readCSR(n)
	if !known {
		return 0, IllegalInstruction, 0
	}
	// Setting or clearing with x0 (or zero) does not write at all.
	if f&3 == 1 || rs1(i) != 0 {
		v := a
		switch f & 3 {
		case 2:
			v = old | a
		case 3:
			v = old &^ a
		}
		if !c.writeCSR(n, v) {
			return 0, IllegalInstruction, 0
		}
	}
	c.X[rd(i)] = old
	return next, none, 0
}
