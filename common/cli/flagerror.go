package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
)

// FlagError rewords an error of the flag parser in the form that Validate methods use,
// "--flag: what is wrong". It keeps the hints of the value's own parser.
func FlagError(err error) *Error {
	var wrong *pflag.InvalidValueError
	if !errors.As(err, &wrong) {
		return Fail(Usage, err)
	}
	f := wrong.GetFlag()
	cause := errors.Unwrap(wrong)
	var own *Error
	if errors.As(cause, &own) {
		return Usagef("--%s: %w", f.Name, cause)
	}
	return Usagef("--%s: %w", f.Name, valueError(f, wrong.GetValue(), cause))
}

// valueError says in words what a value of a basic type must be.
func valueError(f *pflag.Flag, value string, cause error) error {
	var number *strconv.NumError
	switch kind := f.Value.Type(); {
	case kind == "duration":
		return fmt.Errorf("%q is not a duration such as 90s or 15m", value)
	case kind == "bool":
		return fmt.Errorf("%q is neither true nor false", value)
	case errors.As(cause, &number) && errors.Is(number.Err, strconv.ErrRange):
		return fmt.Errorf("%s is out of range", value)
	case errors.As(cause, &number):
		return fmt.Errorf("%q is not a number", value)
	default:
		return cause
	}
}
