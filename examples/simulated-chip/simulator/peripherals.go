package simulator

import "github.com/farforge/farforge/examples/simulated-chip/simulator/riscv"

// Registers of an ESP32-C3 that programs use; the names and addresses are
// the technical reference manual's.
const (
	uartFIFO   = 0x60000000
	uartStatus = 0x6000001C

	rtcOptions0 = 0x60008000
	swSysReset  = 1 << 31

	systimerUnit0Op = 0x60023004
	systimerUnit0Hi = 0x60023040
	systimerUnit0Lo = 0x60023044
	systimerUpdate  = 1 << 30
	systimerValid   = 1 << 29
	systimerHz      = 16_000_000
)

// peripherals are the registers above 0x60000000: UART0, the system timer, the watchdogs,
// and plain storage for all others.
type peripherals struct {
	cpu     *riscv.CPU
	plain   *registers
	uart    *uart
	dogs    []*watchdog
	stamp   uint64 // the system timer when it was last latched
	restart bool
}

func newPeripherals(cpu *riscv.CPU, plain *registers) *peripherals {
	return &peripherals{cpu: cpu, plain: plain, uart: &uart{cpu: cpu}, dogs: watchdogs(cpu)}
}

func (p *peripherals) read(addr uint32) uint32 {
	switch addr {
	case uartFIFO:
		return p.uart.pop()
	case uartStatus:
		return p.uart.status()
	case systimerUnit0Op, systimerUnit0Op + 4:
		return systimerValid
	case systimerUnit0Hi, systimerUnit0Hi + 8:
		return uint32(p.stamp >> 32)
	case systimerUnit0Lo, systimerUnit0Lo + 8:
		return uint32(p.stamp)
	}
	for _, d := range p.dogs {
		if v, mine := d.read(addr); mine {
			return v
		}
	}
	return p.plain.read(addr)
}

// write changes the bits of mask.
func (p *peripherals) write(addr, v, mask uint32) {
	switch addr {
	case uartFIFO:
		p.uart.push(byte(v))
		return
	case systimerUnit0Op, systimerUnit0Op + 4:
		if v&systimerUpdate != 0 {
			p.stamp = p.cpu.Cycles / (cpuHz / 1_000_000) * (systimerHz / 1_000_000)
		}
		return
	case rtcOptions0:
		p.restart = p.restart || v&swSysReset != 0
	}
	for _, d := range p.dogs {
		if d.write(addr, v, mask) {
			return
		}
	}
	p.plain.write(addr, v, mask)
}

// expired returns the reason for a reset, if there is one.
func (p *peripherals) expired() reason {
	if p.restart {
		return software
	}
	for _, d := range p.dogs {
		if d.expired() {
			return d.why
		}
	}
	return stays
}

// uart is UART0 with its two 128-byte queues. It sends at 115200 baud; bytes written into
// a full queue are lost, as on the chip.
type uart struct {
	cpu    *riscv.CPU
	sent   []byte
	busy   uint64 // the cycle when the last queued byte is out
	queued []byte // received, not read yet
}

const (
	uartDepth     = 128
	cyclesPerByte = cpuHz * 10 / defaultBaud
)

// pending returns the number of bytes that wait to be sent.
func (u *uart) pending() uint32 {
	if u.busy <= u.cpu.Cycles {
		return 0
	}
	return uint32((u.busy - u.cpu.Cycles + cyclesPerByte - 1) / cyclesPerByte)
}

func (u *uart) push(b byte) {
	if u.pending() >= uartDepth {
		return
	}
	u.busy = max(u.busy, u.cpu.Cycles) + cyclesPerByte
	u.sent = append(u.sent, b)
}

// status returns the number of received bytes in bits 0 to 9, and of pending bytes in
// bits 16 to 25.
func (u *uart) status() uint32 { return u.pending()<<16 | uint32(len(u.queued)) }

func (u *uart) pop() uint32 {
	if len(u.queued) == 0 {
		return 0
	}
	b := u.queued[0]
	u.queued = u.queued[1:]
	return uint32(b)
}

func (u *uart) receive(p []byte) {
	u.queued = append(u.queued, p[:min(len(p), uartDepth-len(u.queued))]...)
}

// take returns the bytes that were sent since the last call.
func (u *uart) take() []byte {
	out := u.sent
	u.sent = nil
	return out
}
