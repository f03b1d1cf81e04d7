package project

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Memory is an amount of memory in MiB. As text it is a number of MiB, or a
// number with M or G: "512", "512M", "2G".
type Memory int

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Memory) UnmarshalText(text []byte) error {
	s := strings.ToUpper(strings.TrimSpace(string(text)))
	s = strings.TrimSuffix(strings.TrimSuffix(s, "B"), "I")
	factor := 1
	if rest, ok := strings.CutSuffix(s, "G"); ok {
		s, factor = rest, 1024
	} else {
		s = strings.TrimSuffix(s, "M")
	}
	n, err := strconv.ParseUint(s, 10, 22)
	if err != nil || n == 0 {
		return fmt.Errorf("%q is not an amount of memory such as 512M or 2G", text)
	}
	*m = Memory(n) * Memory(factor)
	return nil
}

// MarshalText writes the amount as UnmarshalText reads it.
func (m Memory) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// String returns the amount with its unit; empty for none.
func (m Memory) String() string {
	if m == 0 {
		return ""
	}
	if m%1024 == 0 {
		return fmt.Sprintf("%dG", int(m)/1024)
	}
	return fmt.Sprintf("%dM", int(m))
}

// Set and Type make Memory the value of a flag.
func (m *Memory) Set(s string) error { return m.UnmarshalText([]byte(s)) }

// Type names the kind of value in a command's help.
func (m *Memory) Type() string { return "size" }

// Duration is a time such as "90s" or "10m". It is at least a second.
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < time.Second {
		return fmt.Errorf("%q is not a duration such as 90s or 10m", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the duration as UnmarshalText reads it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String returns the duration as UnmarshalText reads it; empty for none.
func (d Duration) String() string {
	if d == 0 {
		return ""
	}
	return time.Duration(d).String()
}

// Set and Type make Duration the value of a flag.
func (d *Duration) Set(s string) error { return d.UnmarshalText([]byte(s)) }

// Type names the kind of value in a command's help.
func (d *Duration) Type() string { return "duration" }
