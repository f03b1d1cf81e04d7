package cli

import (
	"cmp"
	"io"
	"log/slog"
	"runtime/debug"

	"github.com/spf13/pflag"
)

// LogConfig configures the log that broker and agent write to standard error.
type LogConfig struct {
	Format string // text or json
	Level  string // as slog reads it
}

// Register defines the flags.
func (c *LogConfig) Register(f *pflag.FlagSet) {
	f.StringVar(&c.Format, "log-format", "text", "write the log as `FORMAT`: text or json")
	f.StringVar(&c.Level, "log-level", "info", "log this `LEVEL` and above: debug, info, warn or error")
}

// Validate reports the first wrong value.
func (c *LogConfig) Validate() error {
	var level error
	if err := new(slog.Level).UnmarshalText([]byte(c.Level)); err != nil {
		level = Usagef("--log-level: %w", err).Hint("it must be debug, info, warn or error")
	}
	return cmp.Or(Require(c.Format == "text" || c.Format == "json", "--log-format", "text or json"), level)
}

// Logger returns the logger of a valid config.
func (c *LogConfig) Logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // Validate has read it
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// Version returns the module's version, as the Go toolchain recorded it.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
