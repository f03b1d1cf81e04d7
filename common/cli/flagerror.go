package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// FlagError rewords an error of the flag parser in the form that Validate methods use,
// "--flag: problem". It keeps the hints of the value's own parser.
func FlagError(err error) *Error {
	var wrong *pflag.InvalidValueError
	if !errors.As(err, &wrong) {
		return Fail(Usage, err)
	}
	cause := errors.Unwrap(wrong)
	if strings.HasPrefix(cause.Error(), "must be ") { // a basic type of pflag's
		cause = fmt.Errorf("%q %w", wrong.GetValue(), cause)
	}
	return Usagef("--%s: %w", wrong.GetFlag().Name, cause)
}
