package project

import (
	"fmt"
	"time"
)

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
