package build

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
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
	if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(r); err != nil {
		return nil, describe(source, err)
	}
	if r.Build.Out == "" {
		r.Build.Out = "build"
	}
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return r, nil
}

// describe adds the place of the mistake in the file.
func describe(source string, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		first := unknown.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("%s:%d: unknown key %q", source, line, strings.Join(first.Key(), "."))
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, _ := wrong.Position()
		text := strings.TrimPrefix(wrong.Error(), "toml: ")
		if key := strings.Join(wrong.Key(), "."); key != "" {
			text = key + ": " + text
		}
		return fmt.Errorf("%s:%d: %s", source, line, text)
	}
	return fmt.Errorf("%s: %w", source, err)
}
