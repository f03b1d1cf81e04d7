package build

import (
	"errors"
	"fmt"

	"github.com/farforge/farforge/common/tomltext"
)

// MaxRecipeSize is the longest recipe that Parse reads, in bytes.
const MaxRecipeSize = 64 << 10

// Parse reads and checks a recipe. An unknown key is an error, because a mistyped
// key would otherwise have no effect. Errors begin with source and, if known, the
// line.
func Parse(source string, data []byte) (*Recipe, error) {
	if len(data) > MaxRecipeSize {
		return nil, fmt.Errorf("%s: %d bytes is too long for a recipe; the limit is %d", source, len(data), MaxRecipeSize)
	}
	r := &Recipe{Source: source}
	err := tomltext.Decode(data, r)
	var mistake *tomltext.Mistake
	switch {
	case errors.As(err, &mistake):
		return nil, fmt.Errorf("%s:%d: %w", source, mistake.Line, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	if r.Build.Out == "" {
		r.Build.Out = "build"
	}
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return r, nil
}
