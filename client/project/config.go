package project

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flash/chips"
	"github.com/farforge/farforge/common/tomltext"
)

// Config is a project file, farforge.toml. Every key is optional; a flag of the same name
// outweighs it.
//
//	name = "blink"
//	target = "esp32c3"           # the chip
//	toolchain = "esp-idf@~5.3"   # NAME or NAME@CONSTRAINT
//	tags = ["eu"]                # tags that the agent must have, all of them
//	recipe = "esp-idf"           # how to build; without it, the agent decides
//	outputs = ["build"]          # outputs of a build here; never sent
//	cores = 4                    # limits of the build
//	memory = "2G"
//	timeout = "10m"
type Config struct {
	Name      string     `toml:"name"`
	Target    string     `toml:"target"`
	Toolchain string     `toml:"toolchain"`
	Tags      []string   `toml:"tags"`
	Recipe    string     `toml:"recipe"`
	Outputs   []string   `toml:"outputs"`
	Cores     int        `toml:"cores"`
	Memory    cli.Memory `toml:"memory"`
	Timeout   Duration   `toml:"timeout"`
}

// maxConfig bounds a project file, in bytes.
const maxConfig = 64 << 10

// ParseConfig reads a project file. An unknown key is an error with its line.
func ParseConfig(text []byte) (Config, error) {
	if len(text) > maxConfig {
		return Config{}, fmt.Errorf("it is longer than %d bytes", maxConfig)
	}
	var c Config
	if err := tomltext.Decode(text, &c); err != nil {
		return Config{}, located(err)
	}
	c.Target = chips.Canonical(c.Target)
	if err := c.validate(); err != nil {
		return Config{}, err
	}
	for i := range c.Outputs {
		c.Outputs[i] = path.Clean(c.Outputs[i])
	}
	return c, nil
}

// located adds the place of an error in the file.
func located(err error) error {
	var mistake *tomltext.Mistake
	switch {
	case !errors.As(err, &mistake):
		return err
	case mistake.Unknown != "":
		return fmt.Errorf("line %d: %w; known are name, target, toolchain, tags, recipe, outputs, cores, memory and timeout", mistake.Line, err)
	}
	return fmt.Errorf("line %d, column %d: %w", mistake.Line, mistake.Column, err)
}

func (c *Config) validate() error {
	if len(c.Name) > 64 || strings.ContainsFunc(c.Name, unicode.IsControl) {
		return errors.New("name: longer than 64 bytes, or with control characters")
	}
	if len(c.Recipe) > 64 || strings.ContainsFunc(c.Recipe, unicode.IsControl) {
		return errors.New("recipe: longer than 64 bytes, or with control characters")
	}
	for _, out := range c.Outputs {
		clean := path.Clean(out)
		if out == "" || clean == "." || path.IsAbs(clean) || slices.Contains(strings.Split(clean, "/"), "..") {
			return fmt.Errorf("outputs: %q is not a path within the project", out)
		}
	}
	if c.Cores < 0 || c.Memory < 0 || c.Timeout < 0 {
		return errors.New("cores, memory and timeout cannot be negative")
	}
	// The rules of the broker's API apply to the other keys. Fields that a project
	// file does not have get valid values.
	request := api.GrantRequest{
		PeerFingerprint:  strings.Repeat("00:", 31) + "00",
		RequiredChannels: []string{channel.LabelControl},
		CPUCores:         capacity.CoreShare(max(c.Cores, 1)),
		MemoryMB:         max(int(c.Memory), 1),
		TimeoutSecs:      max(int(time.Duration(c.Timeout)/time.Second), 1),
		Target:           c.Target,
		Toolchain:        c.Toolchain,
		Tags:             c.Tags,
	}
	return request.Validate()
}

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
