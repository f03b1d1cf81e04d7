package cli

import (
	"fmt"
	"strconv"
	"strings"
)

// Memory is an amount of memory or disk in MiB. As text it is a whole number of
// MiB, or a number with a unit: "512", "512M", "512MiB", "2G", "1T". It is a
// flag's value and a TOML value. 0 stands for an amount that is not given; it
// has no text.
type Memory int

// MiB is one mebibyte in bytes.
const MiB = 1 << 20

// Bytes returns the amount in bytes.
func (m Memory) Bytes() int64 { return int64(m) * MiB }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Memory) UnmarshalText(text []byte) error {
	s := strings.ToUpper(strings.TrimSpace(string(text)))
	factor := uint64(1)
	for unit, mib := range map[string]uint64{"M": 1, "G": 1 << 10, "T": 1 << 20} {
		for _, suffix := range []string{unit, unit + "B", unit + "IB"} {
			if number, ok := strings.CutSuffix(s, suffix); ok {
				s, factor = strings.TrimSpace(number), mib
			}
		}
	}
	n, err := strconv.ParseUint(s, 10, 30)
	if err != nil || n == 0 || n*factor > 1<<30 {
		return fmt.Errorf("%q is not an amount of memory such as 512M or 2G", text)
	}
	*m = Memory(n * factor)
	return nil
}

// MarshalText writes the amount as UnmarshalText reads it.
func (m Memory) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// String returns the amount with its unit; empty for none.
func (m Memory) String() string {
	switch {
	case m == 0:
		return ""
	case m%1024 == 0:
		return fmt.Sprintf("%dG", int(m)/1024)
	default:
		return fmt.Sprintf("%dM", int(m))
	}
}

// Set and Type make Memory the value of a flag.
func (m *Memory) Set(s string) error { return m.UnmarshalText([]byte(s)) }

// Type names the kind of value in a command's help.
func (m *Memory) Type() string { return "size" }

// Bytes is an amount in bytes whose text is that of [Memory].
type Bytes int64

// Set, String and Type make Bytes the value of a flag.
func (b *Bytes) Set(s string) error {
	var m Memory
	if err := m.Set(s); err != nil {
		return err
	}
	*b = Bytes(m.Bytes())
	return nil
}

// String returns the amount in whole MiB; empty for none.
func (b *Bytes) String() string { return Memory(*b / MiB).String() }

// Type names the kind of value in a command's help.
func (b *Bytes) Type() string { return "size" }
