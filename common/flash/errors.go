package flash

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kind classifies an Error; see the package comment.
type Kind int

// The kinds. KindVerify deserves the exit code of a failed verification,
// KindOption that of a wrong usage, all others that of trouble with port or chip.
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

// Error is what goes wrong with a port, a chip or a firmware.
type Error struct {
	Kind Kind
	Step string // what was being done, such as "reading the MAC address"; may be empty
	Msg  string // what happened, in the user's words
	Hint string // what to try, without final stop; may be empty
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

// cancelled says what was broken off.
func cancelled(ctx context.Context, step string) error {
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
	return fmt.Sprintf("the chip answered %s with error 0x%02x, %s", opName(e.Op), e.Code, romErrorName(e.Code))
}

// Error codes that decide what is done next.
const (
	romInvalidMessage = 0x05
	romInvalidCRC     = 0x07
	romFlashWrite     = 0x08
	romDeflate        = 0x0B
)

// romErrorName has the names that esptool's serial protocol page uses.
func romErrorName(code byte) string {
	switch code {
	case romInvalidMessage:
		return "received message is invalid"
	case 0x06:
		return "failed to act on received message"
	case romInvalidCRC:
		return "invalid CRC in message"
	case romFlashWrite:
		return "flash write error"
	case 0x09:
		return "flash read error"
	case 0x0A:
		return "flash read length error"
	case romDeflate:
		return "deflate error"
	}
	return "which is not in its documentation"
}
