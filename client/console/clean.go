package console

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text from an agent or a board safe for a terminal: it drops
// control characters and escape sequences, with which text could move the
// cursor, rename the window, hide text or answer for the user. Tabs stay, and colors
// if color is set. Of a line that was overwritten after carriage returns, the last
// state stays.
func Clean(text string, color bool) string {
	text = strings.TrimRight(text, "\r")
	if i := strings.LastIndexByte(text, '\r'); i >= 0 {
		text = text[i+1:]
	}
	if isPlain(text) {
		return text
	}
	var b strings.Builder
	colored := false
	for len(text) > 0 {
		if text[0] == 0x1b {
			n, isColor := escape(text)
			if isColor && color {
				b.WriteString(text[:n])
				colored = true
			}
			text = text[n:]
			continue
		}
		r, n := utf8.DecodeRuneInString(text)
		if r == '\t' || !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r) {
			b.WriteRune(r) // U+FFFD for a byte that is not UTF-8
		}
		text = text[n:]
	}
	if colored {
		b.WriteString("\x1b[0m") // ends the color with the line
	}
	return b.String()
}

func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

// escape returns the length of the escape sequence at the start of s, and
// whether it only sets colors: "ESC [ … m" (ECMA-48, SGR).
func escape(s string) (n int, color bool) {
	if len(s) < 2 {
		return len(s), false
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if c := s[i]; c >= 0x40 && c <= 0x7e {
				return i + 1, c == 'm' && strings.Trim(s[2:i], "0123456789;:") == "" && !conceals(s[2:i])
			}
		}
		return len(s), false
	case ']', 'P', 'X', '^', '_': // strings, up to BEL or ESC \
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 {
				return i + 1, false
			}
			if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2, false
			}
		}
		return len(s), false
	default:
		_, size := utf8.DecodeRuneInString(s[1:])
		return 1 + size, false
	}
}

// conceals reports whether the parameters of an SGR sequence make text invisible: with
// the parameter 8, unless it belongs to a color of the palette (38;5;8).
func conceals(parameters string) bool {
	list := strings.Split(parameters, ";")
	for i := 0; i < len(list); i++ {
		switch strings.TrimLeft(list[i], "0") {
		case "8":
			return true
		case "38", "48", "58":
			if i+1 < len(list) && list[i+1] == "5" {
				i += 2
			} else if i+1 < len(list) && list[i+1] == "2" {
				i += 4
			}
		default:
			if first, _, sub := strings.Cut(list[i], ":"); sub && strings.TrimLeft(first, "0") == "8" {
				return true
			}
		}
	}
	return false
}
