// Package tomltext decodes the TOML files that people write, recipes and
// farforge.toml, and describes their mistakes in words: which line, which key, what it
// is and what it should be.
package tomltext

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/farforge/farforge/common/wholefile"
)

// Mistake is a mistake in a text. Its error text does not name the line.
type Mistake struct {
	Line, Column int // of its beginning, from 1
	// Unknown is the key that the format does not have, if that is the mistake.
	Unknown string
	text    string
}

func (m *Mistake) Error() string { return m.text }

// Decode decodes a TOML text into a struct. A key that the struct lacks is a mistake,
// because a mistyped key would otherwise have no effect. A byte order mark is skipped.
// Mistakes with a place are a *[Mistake].
func Decode(data []byte, into any) error {
	data, err := wholefile.Text(data)
	if err != nil {
		return err
	}
	err = toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(into)
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		first := unknown.Errors[0]
		line, column := first.Position()
		key := strings.Join(first.Key(), ".")
		return &Mistake{Line: line, Column: column, Unknown: key, text: fmt.Sprintf("unknown key %q", key)}
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, column := wrong.Position()
		return &Mistake{Line: line, Column: column, text: inWords(strings.Join(wrong.Key(), "."), strings.TrimPrefix(wrong.Error(), "toml: "))}
	}
	return err
}

// inWords replaces the library's message about types of Go, such as "cannot decode TOML
// integer into struct field build.Toolchain.Version of type string". It keeps other
// messages, behind the key.
func inWords(key, message string) string {
	rest, ok := strings.CutPrefix(message, "cannot decode TOML ")
	found, into, cut := strings.Cut(rest, " into ")
	if _, typ, named := strings.Cut(into, " of type "); named {
		into = typ
	}
	if !ok || !cut {
		if key != "" {
			return key + ": " + message
		}
		return message
	}
	if key == "" {
		key = "a value"
	}
	return fmt.Sprintf("%s is %s, not %s", key, foundKind(found), wantedKind(into))
}

// foundKind names a type of TOML.
func foundKind(name string) string {
	switch name {
	case "integer", "float":
		return "a number"
	case "string":
		return "a text"
	case "boolean", "bool":
		return "true or false"
	case "array":
		return "a list"
	case "table", "inline table":
		return "a table"
	}
	return "a " + name
}

// wantedKind names a type of Go.
func wantedKind(name string) string {
	switch {
	case name == "string":
		return "a text"
	case name == "[]string":
		return "a list of texts"
	case strings.HasPrefix(name, "[]"):
		return "a list"
	case strings.HasPrefix(name, "int"), strings.HasPrefix(name, "uint"), strings.HasPrefix(name, "float"):
		return "a number"
	case name == "bool":
		return "true or false"
	}
	return "a table" // a map, or a struct
}
