package project

import (
	"fmt"
	"strings"
)

// posixClass returns the bytes of "[:name:]" as git has them, or "".
func posixClass(name string) string {
	const lower, upper, digit = `a-z`, `A-Z`, `0-9`
	const punct = `!-.:-@\[-` + "`" + `{-~` // without the slash, which no class matches
	switch name {
	case "alnum":
		return lower + upper + digit
	case "alpha":
		return lower + upper
	case "blank":
		return ` \t`
	case "cntrl":
		return `\x00-\x1f\x7f`
	case "digit":
		return digit
	case "graph":
		return punct + lower + upper + digit
	case "lower":
		return lower
	case "print":
		return ` ` + punct + lower + upper + digit
	case "punct":
		return punct
	case "space":
		return ` \t\n\r`
	case "upper":
		return upper
	case "xdigit":
		return digit + `a-fA-F`
	}
	return ""
}

// translateClass turns the bracket expression at the start of glob into one of
// a regular expression that never matches a slash. It returns the number of bytes
// that it read, and false for an expression that matches nothing in git.
func translateClass(glob string) (expr string, n int, ok bool) {
	i := 1
	negated := i < len(glob) && (glob[i] == '!' || glob[i] == '^')
	if negated {
		i++
	}
	var items strings.Builder
	var last byte // the start of a range, if "-" follows; 0: none
	for first := true; ; first = false {
		if i >= len(glob) {
			return "", 0, false
		}
		c := glob[i]
		if c == ']' && !first {
			i++
			break
		}
		switch {
		case c == '\\':
			if i++; i >= len(glob) {
				return "", 0, false
			}
			last = glob[i]
			writeRange(&items, last, last)
		case c == '-' && last != 0 && i+1 < len(glob) && glob[i+1] != ']':
			if i++; glob[i] == '\\' {
				if i++; i >= len(glob) {
					return "", 0, false
				}
			}
			writeRange(&items, last, glob[i])
			last = 0
		case c == '[' && i+1 < len(glob) && glob[i+1] == ':':
			end := strings.IndexByte(glob[i+2:], ']')
			if end < 0 {
				return "", 0, false
			}
			name, closed := strings.CutSuffix(glob[i+2:i+2+end], ":")
			if !closed { // an ordinary "["
				last = c
				writeRange(&items, c, c)
				break
			}
			class := posixClass(name)
			if class == "" {
				return "", 0, false
			}
			items.WriteString(class)
			i += 2 + end
			last = 0
		default:
			last = c
			writeRange(&items, c, c)
		}
		i++
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

// writeRange adds the bytes from low to high, without the slash. A range that ends
// before it begins is empty, as in git; its start was already added.
func writeRange(b *strings.Builder, low, high byte) {
	if low <= '/' && high >= '/' {
		writeRange(b, low, '/'-1)
		low = '/' + 1
	}
	if low <= high {
		fmt.Fprintf(b, `\x{%X}-\x{%X}`, low, high)
	}
}
