package project

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

var posixClasses = []string{"alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit"}

// translateClass turns the bracket expression at the start of glob into one of
// a regular expression that never matches a slash. It returns the length of
// what it read.
func translateClass(glob string) (expr string, n int, ok bool) {
	i := 1
	negated := i < len(glob) && (glob[i] == '!' || glob[i] == '^')
	if negated {
		i++
	}
	var items strings.Builder
	for first := true; ; first = false {
		if i >= len(glob) {
			return "", 0, false // never closed
		}
		if glob[i] == ']' && !first {
			i++
			break
		}
		if name, size := posixClass(glob[i:]); size > 0 {
			if !slices.Contains(posixClasses, name) {
				return "", 0, false
			}
			items.WriteString(posixItems(name))
			i += size
			continue
		}
		low, size := classRune(glob[i:])
		if size == 0 {
			return "", 0, false
		}
		i += size
		high := low
		if i+1 < len(glob) && glob[i] == '-' && glob[i+1] != ']' {
			high, size = classRune(glob[i+1:])
			if size == 0 {
				return "", 0, false
			}
			i += 1 + size
		}
		writeRange(&items, low, high)
	}
	switch {
	case negated:
		return "[^/" + items.String() + "]", i, true
	case items.Len() == 0:
		return `[^\x00-\x{10FFFF}]`, i, true // only a slash, which never matches
	default:
		return "[" + items.String() + "]", i, true
	}
}

// classRune reads a character, or a quoted one.
func classRune(s string) (rune, int) {
	if s[0] == '\\' {
		if len(s) == 1 {
			return 0, 0
		}
		r, n := utf8.DecodeRuneInString(s[1:])
		return r, n + 1
	}
	return utf8.DecodeRuneInString(s)
}

// posixClass recognises "[:name:]".
func posixClass(s string) (name string, n int) {
	if !strings.HasPrefix(s, "[:") {
		return "", 0
	}
	name, _, ok := strings.Cut(s[2:], ":]")
	if !ok || strings.ContainsAny(name, "[]") {
		return "", 0
	}
	return name, len(name) + 4
}

// posixItems spells the classes that hold a slash without it.
func posixItems(name string) string {
	switch name {
	case "graph":
		return `!-.0-~`
	case "print":
		return ` -.0-~`
	case "punct":
		return `!-.:-@\[-` + "`" + `{-~`
	}
	return "[:" + name + ":]"
}

func writeRange(b *strings.Builder, low, high rune) {
	if low <= '/' && high >= '/' {
		writeRange(b, low, '/'-1)
		low = '/' + 1
	}
	if low > high {
		return // empty, as in git
	}
	fmt.Fprintf(b, `\x{%X}-\x{%X}`, low, high)
}
