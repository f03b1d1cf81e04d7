package cli

import (
	"strings"

	"github.com/spf13/pflag"
)

// ListVar defines a flag whose values are parsed one by one and appended to p.
// The flag may be repeated; where separator is not empty, one argument may hold
// several values. An error of parse that is an [Error] keeps its hints.
func ListVar[T any](f *pflag.FlagSet, p *[]T, name, separator string, parse func(string) (T, error), usage string) {
	f.Var(&list[T]{p: p, separator: separator, parse: parse}, name, usage)
}

type list[T any] struct {
	p         *[]T
	separator string
	parse     func(string) (T, error)
	text      []string
}

// Set appends the values in s, or none of them.
func (l *list[T]) Set(s string) error {
	words := []string{s}
	if l.separator != "" {
		words = strings.Split(s, l.separator)
	}
	values := make([]T, len(words))
	for i, word := range words {
		words[i] = strings.TrimSpace(word)
		var err error
		if values[i], err = l.parse(words[i]); err != nil {
			return err
		}
	}
	*l.p, l.text = append(*l.p, values...), append(l.text, words...)
	return nil
}

// String returns the values as they were written.
func (l *list[T]) String() string { return strings.Join(l.text, ",") }

// Type names the kind of value in a command's help.
func (l *list[T]) Type() string { return "list" }
