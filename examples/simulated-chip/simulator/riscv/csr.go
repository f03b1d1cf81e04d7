package riscv

// Control and status registers.
const (
	csrStatus   = 0x300
	csrISA      = 0x301
	csrVector   = 0x305
	csrScratch  = 0x340
	csrEPC      = 0x341
	csrCause    = 0x342
	csrValue    = 0x343
	csrCycles   = 0x7E2 // mpccr, this chip's cycle counter; it has no mcycle
	csrVendor   = 0xF11
	csrArch     = 0xF12
	csrImpl     = 0xF13
	csrHart     = 0xF14
	statusMIE   = 1 << 3
	statusMPIE  = 1 << 7
	statusMPP   = 3 << 11
	isaRV32IMC  = 1<<30 | 1<<('i'-'a') | 1<<('m'-'a') | 1<<('c'-'a')
	vendorChip  = 0x612
	archChip    = 0x80000001
	implChip    = 1
	vectoredBit = 1
)

// csrFile holds the registers that have a meaning here; plain holds those that a
// program may write and read back (interrupt enables, memory protection,
// triggers, the counter's selection, the GPIO registers).
type csrFile struct {
	status, vector, scratch, epc, cause, value uint32
	plain                                      map[uint32]uint32
}

func newCSRFile() csrFile {
	return csrFile{status: statusMPP, plain: make(map[uint32]uint32)}
}

// enter records a trap.
func (f *csrFile) enter(cause Cause, pc, value uint32) {
	f.epc, f.cause, f.value = pc, uint32(cause), value
	mpie := f.status & statusMIE << 4
	f.status = f.status&^(statusMIE|statusMPIE) | mpie | statusMPP
}

// leave undoes enter and returns where to go on.
func (f *csrFile) leave() uint32 {
	mie := f.status & statusMPIE >> 4
	f.status = f.status&^statusMIE | mie | statusMPIE
	return f.epc
}

// hasPlain lists the registers that are only storage.
func hasPlain(n uint32) bool {
	switch {
	case n == 0x304 || n == 0x344: // mie, mip
	case n >= 0x3A0 && n <= 0x3A3, n >= 0x3B0 && n <= 0x3BF: // memory protection
	case n >= 0x7A0 && n <= 0x7A5: // triggers
	case n == 0x7E0 || n == 0x7E1: // the counter's selection
	case n >= 0x803 && n <= 0x805: // GPIO
	default:
		return false
	}
	return true
}

func (c *CPU) readCSR(n uint32) (uint32, bool) {
	f := &c.csr
	switch n {
	case csrStatus:
		return f.status, true
	case csrISA:
		return isaRV32IMC, true
	case csrVector:
		return f.vector, true
	case csrScratch:
		return f.scratch, true
	case csrEPC:
		return f.epc, true
	case csrCause:
		return f.cause, true
	case csrValue:
		return f.value, true
	case csrCycles:
		return uint32(c.Cycles), true
	case csrVendor:
		return vendorChip, true
	case csrArch:
		return archChip, true
	case csrImpl:
		return implChip, true
	case csrHart:
		return 0, true
	}
	return f.plain[n], hasPlain(n)
}

func (c *CPU) writeCSR(n, v uint32) bool {
	f := &c.csr
	switch n {
	case csrStatus:
		f.status = v&(statusMIE|statusMPIE) | statusMPP
	case csrISA: // fixed
	case csrVector:
		f.vector = v&^0xFF | v&vectoredBit
	case csrScratch:
		f.scratch = v
	case csrEPC:
		f.epc = v &^ 1
	case csrCause:
		f.cause = v
	case csrValue:
		f.value = v
	case csrCycles:
		c.Cycles = uint64(v)
	default:
		if n>>10 == 3 || !hasPlain(n) { // read-only by number, or unknown
			return false
		}
		f.plain[n] = v
	}
	return true
}
