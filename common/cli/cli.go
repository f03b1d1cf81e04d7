// Package cli is how Farforge's commands speak: exit codes, and errors as one
// "error:" line followed by "hint:" lines, on standard error, and nothing else
// on failure.
//
//	error: no agent can build for esp32s3
//	hint: 2 agents are online; they build for esp32, esp32c3
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit is a command's exit code. Scripts may rely on them.
type Exit int

// The exit codes.
const (
	Done         Exit = 0
	BuildFailed  Exit = 1 // the build ran and failed
	Usage        Exit = 2 // wrong flags, arguments or configuration
	Broker       Exit = 3 // the broker is unreachable or refused
	NoAgent      Exit = 4 // no agent is able or willing
	LostAgent    Exit = 5 // the agent went away or failed
	Serial       Exit = 6 // serial port or chip
	Verification Exit = 7 // something is not what it claims to be
	Interrupted  Exit = 130
)

// Error is an error with what to do about it and the exit code for it.
type Error struct {
	Err   error
	Hints []string
	Exit  Exit
}

// Error returns the text behind "error:".
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *Error) Unwrap() error { return e.Err }

// Fail wraps err with an exit code and hints.
func Fail(exit Exit, err error, hints ...string) *Error {
	return &Error{Err: err, Hints: hints, Exit: exit}
}

// Failf is Fail with a formatted error; %w works.
func Failf(exit Exit, format string, args ...any) *Error {
	return Fail(exit, fmt.Errorf(format, args...))
}

// Hint adds hints to e and returns it.
func (e *Error) Hint(hints ...string) *Error {
	e.Hints = append(e.Hints, hints...)
	return e
}

// Code returns the exit code for err: Done for nil, its own for an [Error],
// Interrupted for a cancelled context, and Usage for any other, because
// commands wrap all that can go wrong once their arguments are understood.
func Code(err error) Exit {
	var e *Error
	switch {
	case err == nil:
		return Done
	case errors.As(err, &e):
		return e.Exit
	case errors.Is(err, context.Canceled):
		return Interrupted
	default:
		return Usage
	}
}

// Print writes err as a user sees it. Line breaks within the error or a hint
// are folded, so that each stays one line.
func Print(w io.Writer, err error) {
	fmt.Fprintf(w, "error: %s\n", oneLine(err.Error()))
	var e *Error
	if errors.As(err, &e) {
		for _, hint := range e.Hints {
			fmt.Fprintf(w, "hint: %s\n", oneLine(hint))
		}
	}
}

func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
