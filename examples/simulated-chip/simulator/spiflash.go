package simulator

import (
	"encoding/binary"
	"math/bits"
)

// Bits of the SPI controller's CMD and USER registers.
const (
	spiUser      = 1 << 18
	usrHasMISO   = 1 << 28
	usrHasAddr   = 1 << 30
	usrHasOpcode = 1 << 31
)

// Commands of the flash part (JEDEC, JESD216).
const (
	flashReadStatus  = 0x05
	flashReadSFDP    = 0x5A
	flashResetEnable = 0x66
	flashReset       = 0x99
	flashReadID      = 0x9F
)

// userCommand plays one transaction of the SPI controller: it hands the part an opcode
// and puts the part's answer into the data window, limited to the bits in the MISO length
// register.
func (r *registers) userCommand() {
	l := r.chip.model.spi
	usr := r.words[l.base+l.usr]
	if usr&usrHasOpcode == 0 || usr&usrHasMISO == 0 {
		return // nothing that would be read back
	}
	addr := uint32(0)
	if usr&usrHasAddr != 0 {
		addr = r.words[l.base+l.addr] >> 8 // 24 bits, the first one sent on top
	}
	answer := r.chip.flash.transact(byte(r.words[l.base+l.usr2]), addr)
	n := int(r.words[l.base+l.misoLen]&0x3FF) + 1
	if l.lengthInUsr1 {
		n = int(r.words[l.base+l.usr1]>>8&0x1FF) + 1
	}
	for w := 0; w*32 < n && w < 16; w++ {
		var word uint32
		for b := range 4 {
			octet := byte(0xFF) // the line is not driven
			if i := w*4 + b; i < len(answer) {
				octet = answer[i]
			}
			word |= uint32(octet) << (8 * b)
		}
		if left := n - w*32; left < 32 {
			word &= 1<<left - 1
		}
		r.words[l.base+l.window+uint32(w)*4] = word
	}
}

// transact is the flash part's side of a command.
func (n *nor) transact(opcode byte, addr uint32) []byte {
	switch opcode {
	case flashReadID:
		return []byte{0xC8, 0x40, byte(bits.Len(uint(len(n.cells))) - 1)}
	case flashReadSFDP:
		if t := n.sfdp(); addr < uint32(len(t)) {
			return t[addr:]
		}
	case flashReadStatus, flashResetEnable, flashReset:
		return make([]byte, 4) // ready, not protected
	}
	return nil
}

// sfdp is the part's self-description after JESD216: header, one parameter
// header, and the basic table with 4 KiB erase and the density.
func (n *nor) sfdp() []byte {
	const tableAt, tableWords = 0x10, 9
	t := make([]byte, tableAt+4*tableWords)
	copy(t, "SFDP")
	t[5], t[7] = 1, 0xFF // revision 1.0, one parameter header
	t[10], t[11], t[12], t[15] = 1, tableWords, tableAt, 0xFF
	binary.LittleEndian.PutUint32(t[tableAt:], 0xFFF120E5) // 4 KiB erase by 0x20, 3-byte addresses
	binary.LittleEndian.PutUint32(t[tableAt+4:], uint32(len(n.cells)*8-1))
	return t
}
