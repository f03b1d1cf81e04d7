package flash

import (
	"context"
	"strings"
	"time"
)

// Before is a way into the loader.
type Before int

// The ways into the loader. The zero value suits nearly every board.
const (
	DefaultReset Before = iota // by the lines DTR and RTS, as the port suggests
	USBReset                   // by the sequence for the USB port inside the chip
	NoReset                    // not at all: the user has pressed the buttons
)

// After is a way out of the loader.
type After int

// The ways out of the loader.
const (
	HardReset     After = iota // by RTS; without modem lines as SoftReset
	SoftReset                  // by asking the loader to run the firmware
	Stay                       // not at all
	WatchdogReset              // by the RTC's watchdog, for chips whose USB port has no reset line
)

// ParseBefore reads esptool's names: default_reset, usb_reset, no_reset,
// no_reset_no_sync, also with hyphens. Empty means DefaultReset.
func ParseBefore(s string) (Before, error) {
	switch strings.ReplaceAll(s, "-", "_") {
	case "", "default_reset":
		return DefaultReset, nil
	case "usb_reset":
		return USBReset, nil
	case "no_reset", "no_reset_no_sync": // a SYNC harms nothing
		return NoReset, nil
	}
	return 0, &Error{Kind: KindOption, Msg: "unknown reset into the loader: " + quote([]byte(s)),
		Hint: "use default_reset, usb_reset or no_reset"}
}

// ParseAfter reads esptool's names: hard_reset, soft_reset, no_reset, no_reset_stub,
// watchdog_reset, also with hyphens. Empty means HardReset.
func ParseAfter(s string) (After, error) {
	switch strings.ReplaceAll(s, "-", "_") {
	case "", "hard_reset":
		return HardReset, nil
	case "soft_reset":
		return SoftReset, nil
	case "no_reset", "no_reset_stub":
		return Stay, nil
	case "watchdog_reset":
		return WatchdogReset, nil
	}
	return 0, &Error{Kind: KindOption, Msg: "unknown reset out of the loader: " + quote([]byte(s)),
		Hint: "use hard_reset, soft_reset, watchdog_reset or no_reset"}
}

// move is a step of a reset sequence: set the lines in the order DTR, RTS, then wait.
type move struct {
	dtr, rts bool
	wait     time.Duration
}

// classicReset switches the two transistors that most boards have between the
// lines of a USB-to-UART bridge and the chip's EN and BOOT pins. DTR pulls BOOT
// and RTS pulls EN, but neither does when both are asserted.
func classicReset(hold time.Duration) []move {
	return []move{
		{false, true, 100 * time.Millisecond}, // in reset
		{true, false, hold},                   // out of it, with BOOT low
		{false, false, 0},
	}
}

// usbReset is for the USB Serial/JTAG unit, which watches for RTS rising and takes DTR at
// that moment for the BOOT pin. The lines are never both released between the two, which
// would reset the chip without BOOT.
func usbReset() []move {
	return []move{
		{false, false, 100 * time.Millisecond},
		{true, false, 100 * time.Millisecond},
		{true, true, 0},
		{false, true, 100 * time.Millisecond},
		{false, false, 0},
	}
}

// runReset restarts the chip into its firmware.
func runReset(hold time.Duration) []move {
	return []move{{false, true, hold}, {false, false, 0}}
}

// play moves the lines.
func play(ctx context.Context, lines modemLines, moves []move, step string) error {
	for _, m := range moves {
		if err := setLines(lines, m.dtr, m.rts); err != nil {
			return &Error{Kind: KindPort, Step: step, Msg: "the port's modem lines cannot be set", Err: err}
		}
		if m.wait > 0 {
			if err := pause(ctx, m.wait, step); err != nil {
				return err
			}
		}
	}
	return nil
}

// setLines sets both lines. RTS is last, as Windows applies DTR only then.
func setLines(lines modemLines, dtr, rts bool) error {
	if err := lines.SetDTR(dtr); err != nil {
		return err
	}
	return lines.SetRTS(rts)
}

// Restart restarts the chip on port into its firmware, as the RESET button
// does. Without modem lines it fails with KindPort.
func Restart(ctx context.Context, port Port) error {
	hold := 100 * time.Millisecond
	if isUSBSerialJTAG(port) {
		hold = 200 * time.Millisecond
	}
	return playOn(ctx, port, runReset(hold), "restarting the board")
}

// EnterLoader restarts the chip on port into its loader, as RESET with BOOT held
// does. Without modem lines it fails with KindPort.
func EnterLoader(ctx context.Context, port Port) error {
	moves := classicReset(50 * time.Millisecond)
	if isUSBSerialJTAG(port) {
		moves = usbReset()
	}
	return playOn(ctx, port, moves, "restarting the board into its loader")
}

func playOn(ctx context.Context, port Port, moves []move, step string) error {
	lines, ok := port.(modemLines)
	if !ok {
		return &Error{Kind: KindPort, Step: step, Msg: "the port has no modem lines", Hint: "use the board's buttons"}
	}
	return play(ctx, lines, moves, step)
}
