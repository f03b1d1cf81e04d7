// Package cli holds the parts of the command line that the three programs share:
// exit codes, errors with hints, logs, versions, sizes, signals, and flags with
// headings.
//
// A command that fails writes one "error:" line and then its "hint:" lines to
// standard error, and nothing else:
//
//	error: no agent can build for esp32s3
//	hint: 2 agents are online; they build for esp32, esp32c3
//
// Every error that needs a hint, an exit code or a stable code for scripts is
// an [Error]:
//
//	return cli.Usagef("--max-wait: %v is more than 25s", wait).Hint("use --max-wait 25s")
//
// An option is written once. A package declares a Config with these methods, and
// commands compose the Configs:
//
//	func (c *Config) Register(f *pflag.FlagSet)   // flags and defaults
//	func (c *Config) Validate() error             // the first wrong value, as an Error
//
//	cli.Section(flags, "Relay", cfg.Relay.Register)
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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
	Verification Exit = 7 // a signature, digest or comparison does not match
	Interrupted  Exit = 130
)

// code returns the stable code of errors that have this exit code and no
// narrower one.
func (e Exit) code() string {
	switch e {
	case BuildFailed:
		return "build_failed"
	case Broker:
		return "broker"
	case NoAgent:
		return "no_agent"
	case LostAgent:
		return "lost_agent"
	case Serial:
		return "serial"
	case Verification:
		return "verification"
	case Interrupted:
		return "interrupted"
	default:
		return "usage"
	}
}

// Error is an error with hints, an exit code and a code for scripts.
type Error struct {
	Err   error
	Hints []string // what the user can do, one imperative each
	Exit  Exit
	Code  string // see [ErrorCode]; empty takes that of the cause or of Exit
}

// Error returns the text behind "error:".
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Fail wraps err with an exit code and hints.
func Fail(exit Exit, err error, hints ...string) *Error {
	return &Error{Err: err, Hints: hints, Exit: exit}
}

// Failf is Fail with a formatted error; %w works.
func Failf(exit Exit, format string, args ...any) *Error {
	return Fail(exit, fmt.Errorf(format, args...))
}

// Usagef is Failf for wrong flags, arguments or files.
func Usagef(format string, args ...any) *Error { return Failf(Usage, format, args...) }

// Hint adds hints to e and returns it.
func (e *Error) Hint(hints ...string) *Error {
	e.Hints = append(e.Hints, hints...)
	return e
}

// WithCode sets e's code for scripts and returns e.
func (e *Error) WithCode(code string) *Error {
	e.Code = code
	return e
}

// Require returns nil if ok, and otherwise an error that names the values that a
// flag accepts.
func Require(ok bool, flag, want string) error {
	if ok {
		return nil
	}
	return Usagef("%s is out of range", flag).Hint("it must be " + want)
}

// Code returns the exit code for err: Done for nil, its own for an [Error],
// Interrupted for a canceled context, and Usage for any other, because commands
// wrap every failure that happens after their arguments are understood.
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

// ErrorCode returns the stable code of err for scripts, such as "no_agent". It
// is the first of: the Code of an [Error] in err's tree; the code of an error
// that has a method ErrorCode() string, such as a broker's answer; the name of
// the exit code.
func ErrorCode(err error) string {
	for e := range tree(err) {
		if known, ok := e.(*Error); ok && known.Code != "" {
			return known.Code
		}
		if coded, ok := e.(interface{ ErrorCode() string }); ok && coded.ErrorCode() != "" {
			return coded.ErrorCode()
		}
	}
	return Code(err).code()
}

// Hints returns the hints of every [Error] in err's tree, the outermost first,
// each once.
func Hints(err error) []string {
	var hints []string
	for e := range tree(err) {
		if known, ok := e.(*Error); ok {
			for _, hint := range known.Hints {
				if !slices.Contains(hints, hint) {
					hints = append(hints, hint)
				}
			}
		}
	}
	return hints
}

// tree yields err and all that it wraps, depth first, as [errors.As] visits
// them.
func tree(err error) func(yield func(error) bool) {
	return func(yield func(error) bool) { visit(err, yield) }
}

func visit(err error, yield func(error) bool) bool {
	if err == nil {
		return true
	}
	if !yield(err) {
		return false
	}
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		return visit(x.Unwrap(), yield)
	case interface{ Unwrap() []error }:
		for _, each := range x.Unwrap() {
			if !visit(each, yield) {
				return false
			}
		}
	}
	return true
}

// Print writes err as a user sees it. Line breaks within the error or a hint
// are folded, so that each stays one line.
func Print(w io.Writer, err error) {
	fmt.Fprintf(w, "error: %s\n", oneLine(err.Error()))
	for _, hint := range Hints(err) {
		fmt.Fprintf(w, "hint: %s\n", oneLine(hint))
	}
}

func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
