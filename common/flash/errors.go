package flash

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kind classifies an Error; see the package comment.
type Kind int

// The kinds. KindVerify has the exit code of a failed verification, KindOption that of
// wrong usage, and every other kind that of a fault of port or chip.
const (
	KindPort Kind = iota + 1
	KindNoLoader
	KindSilent
	KindGarbled
	KindRefused
	KindSecurity
	KindFirmware
	KindVerify
	KindOption
)

func (k Kind) String() string {
	names := [...]string{"port", "no-loader", "silent", "garbled", "refused", "security", "firmware", "verify", "option"}
	if k < 1 || int(k) > len(names) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return names[k-1]
}

// Error is a fault of a port, a chip or a firmware.
type Error struct {
	Kind Kind
	Step string // the step that failed, such as "reading the MAC address"; may be empty
	Msg  string // what failed, for the user
	Hint string // an imperative without a final stop; may be empty
	Err  error  // the cause, may be nil
}

// Error joins message, step and cause; the hint is for the user interface.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Msg)
	if e.Step != "" {
		b.WriteString(" while " + e.Step)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// IsKind reports whether err is an *Error of the kind.
func IsKind(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}

// canceled names the step that was interrupted.
func canceled(ctx context.Context, step string) error {
	return fmt.Errorf("stopped while %s: %w", step, context.Cause(ctx))
}

const (
	hintSilent = "try another USB cable or port, or a lower baud rate; if it stays silent, hold BOOT, press RESET, release BOOT, and flash again"
	hintBoot   = "hold the BOOT button, press and release RESET, release BOOT, and try again"
)

// ROMError is an error code of the ROM's loader.
type ROMError struct {
	Op   byte // the command
	Code byte
}

func (e *ROMError) Error() string {
	return fmt.Sprintf("the chip answered %s with error 0x%02x, %s", opName(e.Op), e.Code, romMeaning(e.Code).name)
}

func (e *ROMError) hint() string { return romMeaning(e.Code).hint }

// Error codes that decide the next step.
const (
	romInvalidMessage = 0x05
	romInvalidCRC     = 0x07
	romReadLength     = 0x0A
)

// meaning is the name of an error code and a hint for the user.
type meaning struct{ name, hint string }

// romMeaning follows the table of ROM and stub errors on the page "Serial Protocol"
// of Espressif's esptool documentation.
func romMeaning(code byte) meaning {
	const (
		line  = "use another cable or port, or a lower baud rate"
		image = "check that the offsets and sizes fit the board's flash"
		part  = "check the board's power; if it happens again, its flash is worn out or broken"
		again = "reset the board and flash again"
	)
	switch code {
	case 0x00:
		return meaning{"undefined error", again}
	case 0x01:
		return meaning{"invalid input parameter", line}
	case 0x02:
		return meaning{"out of memory", again}
	case 0x03:
		return meaning{"failed to send a message", line}
	case 0x04:
		return meaning{"failed to receive a message", line}
	case romInvalidMessage:
		return meaning{"received message is invalid", line}
	case 0x06:
		return meaning{"failed to act on received message", image}
	case romInvalidCRC:
		return meaning{"invalid CRC in message", line}
	case 0x08:
		return meaning{"flash write error", part}
	case 0x09:
		return meaning{"flash read error", part}
	case romReadLength:
		return meaning{"flash read length error", image}
	case 0x0B:
		return meaning{"deflate error", line}
	case 0x0C:
		return meaning{"deflate checksum error", line}
	case 0x0D:
		return meaning{"deflate parameter error", line}
	case 0x0E:
		return meaning{"invalid size of a program for RAM", line}
	case 0x0F:
		return meaning{"invalid address of a program for RAM", line}
	case 0x64:
		return meaning{"invalid parameter", line}
	case 0x65:
		return meaning{"invalid format", line}
	case 0x66:
		return meaning{"description too long", line}
	case 0x67:
		return meaning{"bad encoding description", line}
	case 0x69:
		return meaning{"insufficient storage", image}
	case 0xC0:
		return meaning{"bad data length, from a stub", line}
	case 0xC1:
		return meaning{"bad data checksum, from a stub", line}
	case 0xC2:
		return meaning{"bad block size, from a stub", line}
	case 0xC3:
		return meaning{"invalid command, from a stub", again}
	case 0xC4:
		return meaning{"failed SPI operation, from a stub", part}
	case 0xC5:
		return meaning{"failed SPI unlock, from a stub", part}
	case 0xC6:
		return meaning{"not in flash mode, from a stub", again}
	case 0xC7:
		return meaning{"inflate error, from a stub", line}
	case 0xC8:
		return meaning{"not enough data, from a stub", line}
	case 0xC9:
		return meaning{"too much data, from a stub", line}
	case 0xFF:
		return meaning{"command not implemented, from a stub", again}
	}
	return meaning{"which is not in its documentation", again}
}
