package chips

import "context"

// Functions that the chips after the ESP32 share.

// spiAt gives the registers of an SPI controller in the layout that all chips have
// since the ESP32-S2.
func spiAt(base uint32) SPI {
	return SPI{Cmd: base, Usr: base + 0x18, Usr1: base + 0x1C, Usr2: base + 0x20,
		MosiLen: base + 0x24, MisoLen: base + 0x28, W0: base + 0x58}
}

// field is a part of an eFuse word.
type field struct {
	addr     uint32
	at, size uint
}

// number joins fields, the highest first.
func number(ctx context.Context, r Registers, fields []field) (int, error) {
	n := 0
	for _, f := range fields {
		w, err := r.ReadReg(ctx, f.addr)
		if err != nil {
			return 0, err
		}
		n = n<<f.size | int(w>>f.at&(1<<f.size-1))
	}
	return n, nil
}

// revisionAt reads a revision from the fields of its two numbers.
func revisionAt(major, minor []field) func(context.Context, Registers) (Revision, error) {
	return func(ctx context.Context, r Registers) (Revision, error) {
		a, err := number(ctx, r, major)
		if err != nil {
			return Revision{}, err
		}
		b, err := number(ctx, r, minor)
		return Revision{Major: a, Minor: b}, err
	}
}

// macAt reads the address from two eFuse words, the lower four bytes first.
func macAt(addr uint32) func(context.Context, Registers) ([6]byte, error) {
	return func(ctx context.Context, r Registers) ([6]byte, error) {
		w, err := words(ctx, r, addr, addr+4)
		if err != nil {
			return [6]byte{}, err
		}
		return mac(w[1], w[0]), nil
	}
}

// uartDivider is UART0's clock divider: crystal over rate.
const uartDivider = 0x60000014

// Keys that open the watchdogs' registers.
const (
	wdtKey = 0x50D83AA1
	swdKey = 0x8F1D312A
)

// lowPower holds the registers of the two watchdogs in the chip's low-power part: the
// RTC's and the super watchdog.
type lowPower struct {
	config0, protect        uint32 // of the RTC's; the time is behind config0
	swd, swdProtect, swdKey uint32
	autoFeed                uint32 // the bit of swd that makes it feed itself
}

// silence switches the watchdogs off. The ROM does so on a UART. A reset over the chip's
// own USB port leaves them running, and they would restart the chip in the middle of an
// erase.
func (l lowPower) silence(ctx context.Context, r Registers, _ Revision) error {
	swd, err := r.ReadReg(ctx, l.swd)
	if err != nil {
		return err
	}
	return write(ctx, r, [][2]uint32{
		{l.protect, wdtKey}, {l.config0, 0}, {l.protect, 0},
		{l.swdProtect, l.swdKey}, {l.swd, swd | l.autoFeed}, {l.swdProtect, 0},
	})
}

// reset lets the RTC's watchdog restart the whole chip after a moment.
func (l lowPower) reset(ctx context.Context, r Registers) error {
	const (
		enable, systemReset, resetLength, pauseInSleep = 1 << 31, 5 << 28, 1 << 8, 2
		ticks                                          = 2000 // of a slow clock
	)
	return write(ctx, r, [][2]uint32{
		{l.protect, wdtKey}, {l.config0 + 4, ticks},
		{l.config0, enable | systemReset | resetLength | pauseInSleep}, {l.protect, 0},
	})
}

func write(ctx context.Context, r Registers, values [][2]uint32) error {
	for _, v := range values {
		if err := r.WriteReg(ctx, v[0], v[1]); err != nil {
			return err
		}
	}
	return nil
}
