package riscv

// Builders of full instructions, for the compressed ones to expand to.
func encR(f7, rs2, rs1, f3, rd, op uint32) uint32 {
	return f7<<25 | rs2<<20 | rs1<<15 | f3<<12 | rd<<7 | op
}
func encI(imm, rs1, f3, rd, op uint32) uint32 { return imm<<20 | rs1<<15 | f3<<12 | rd<<7 | op }
func encS(imm, rs2, rs1, f3 uint32) uint32 {
	return imm>>5&0x7F<<25 | rs2<<20 | rs1<<15 | f3<<12 | imm&31<<7 | opStore
}
func encB(imm, rs1, f3 uint32) uint32 {
	return imm>>12&1<<31 | imm>>5&0x3F<<25 | rs1<<15 | f3<<12 | imm>>1&15<<8 | imm>>11&1<<7 | opBranch
}
func encJ(imm, rd uint32) uint32 {
	return imm>>20&1<<31 | imm>>1&0x3FF<<21 | imm>>11&1<<20 | imm>>12&0xFF<<12 | rd<<7 | opJAL
}

// extend sign-extends the low n bits of v.
func extend(v uint32, n uint) uint32 { return uint32(int32(v<<(32-n)) >> (32 - n)) }

// expand returns the instruction that a compressed one stands for.
func expand(h uint16) (insn uint32, legal bool) {
	i := uint32(h)
	// Registers x8 to x15 in three bits, and the usual five.
	short1, short2 := 8+i>>7&7, 8+i>>2&7
	full1, full2 := i>>7&31, i>>2&31
	switch i&3<<3 | i>>13 {
	case 0 << 3: // C.ADDI4SPN
		imm := i>>7&15<<6 | i>>11&3<<4 | i>>5&1<<3 | i>>6&1<<2
		return encI(imm, 2, 0, short2, opImm), imm != 0
	case 0<<3 | 2: // C.LW
		return encI(wordOffset(i), short1, 2, short2, opLoad), true
	case 0<<3 | 6: // C.SW
		return encS(wordOffset(i), short2, short1, 2), true
	case 1 << 3: // C.ADDI, C.NOP
		return encI(imm6(i), full1, 0, full1, opImm), true
	case 1<<3 | 1: // C.JAL
		return encJ(jumpOffset(i), 1), true
	case 1<<3 | 2: // C.LI
		return encI(imm6(i), 0, 0, full1, opImm), true
	case 1<<3 | 3: // C.ADDI16SP, C.LUI
		if full1 == 2 {
			imm := extend(i>>12&1<<9|i>>3&3<<7|i>>5&1<<6|i>>2&1<<5|i>>6&1<<4, 10)
			return encI(imm, 2, 0, 2, opImm), imm != 0
		}
		return imm6(i)<<12 | full1<<7 | opLUI, imm6(i) != 0
	case 1<<3 | 4:
		return expandArithmetic(i, short1, short2)
	case 1<<3 | 5: // C.J
		return encJ(jumpOffset(i), 0), true
	case 1<<3 | 6: // C.BEQZ
		return encB(branchOffset(i), short1, 0), true
	case 1<<3 | 7: // C.BNEZ
		return encB(branchOffset(i), short1, 1), true
	case 2 << 3: // C.SLLI
		return encI(full2, full1, 1, full1, opImm), i>>12&1 == 0
	case 2<<3 | 2: // C.LWSP
		imm := i>>2&3<<6 | i>>12&1<<5 | i>>4&7<<2
		return encI(imm, 2, 2, full1, opLoad), full1 != 0
	case 2<<3 | 4:
		return expandMove(i, full1, full2)
	case 2<<3 | 6: // C.SWSP
		return encS(i>>7&3<<6|i>>9&15<<2, full2, 2, 2), true
	}
	return 0, false
}

// expandArithmetic is quadrant 1, funct3 100.
func expandArithmetic(i, rd, rs uint32) (uint32, bool) {
	switch i >> 10 & 3 {
	case 0: // C.SRLI
		return encI(i>>2&31, rd, 5, rd, opImm), i>>12&1 == 0
	case 1: // C.SRAI
		return encI(0x400|i>>2&31, rd, 5, rd, opImm), i>>12&1 == 0
	case 2: // C.ANDI
		return encI(imm6(i), rd, 7, rd, opImm), true
	}
	if i>>12&1 != 0 {
		return 0, false
	}
	switch i >> 5 & 3 {
	case 0: // C.SUB
		return encR(0x20, rs, rd, 0, rd, opReg), true
	case 1: // C.XOR
		return encR(0, rs, rd, 4, rd, opReg), true
	case 2: // C.OR
		return encR(0, rs, rd, 6, rd, opReg), true
	}
	return encR(0, rs, rd, 7, rd, opReg), true // C.AND
}

// expandMove is quadrant 2, funct3 100.
func expandMove(i, rd, rs uint32) (uint32, bool) {
	link := i >> 12 & 1
	switch {
	case rs != 0 && link == 0: // C.MV
		return encR(0, rs, 0, 0, rd, opReg), true
	case rs != 0: // C.ADD
		return encR(0, rs, rd, 0, rd, opReg), true
	case rd != 0: // C.JR, C.JALR
		return encI(0, rd, 0, link, opJALR), true
	}
	return 0x00100073, link == 1 // C.EBREAK
}

// Immediates of compressed instructions.
func imm6(i uint32) uint32       { return extend(i>>12&1<<5|i>>2&31, 6) }
func wordOffset(i uint32) uint32 { return i>>5&1<<6 | i>>10&7<<3 | i>>6&1<<2 }
func jumpOffset(i uint32) uint32 {
	return extend(i>>12&1<<11|i>>11&1<<4|i>>9&3<<8|i>>8&1<<10|i>>7&1<<6|i>>6&1<<7|i>>3&7<<1|i>>2&1<<5, 12)
}
func branchOffset(i uint32) uint32 {
	return extend(i>>12&1<<8|i>>10&3<<3|i>>5&3<<6|i>>3&3<<1|i>>2&1<<5, 9)
}
