package monitor

import (
	"cmp"
	"context"
	"io"
	"time"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flash"
)

// Options are the options of a monitor. Only Out or LineTo is required.
type Options struct {
	Out io.Writer
	// LineTo, if not nil, gets each line without its end and without colors, in place of
	// Out. A line of more than 16 KiB is passed in parts.
	LineTo func(line string)
	// Reopen opens the port again after it went away. It is called several times a
	// second until it succeeds. Nil ends the monitor with an error instead.
	Reopen func(context.Context) (flash.Port, error)
	// In gives the user's keys, in a terminal's raw mode. Nil means none. Its end
	// does not end the monitor.
	In io.Reader
	// RawTerminal reports that Out is a terminal in raw mode, where a new line needs a
	// carriage return too.
	RawTerminal bool
	// Initial holds bytes already read from the port, such as those of flash.Device.Tail.
	// They are shown first.
	Initial []byte
	// Timestamps puts the time before each line.
	Timestamps bool
	// Filter, if not nil, decides which lines are shown. It gets a line without
	// its end and without colors, once the line is complete or has 16 KiB.
	Filter func(line string) bool
	// Until ends the monitor when the board has printed something.
	Until Until
	// For ends the monitor after some time. Zero means no limit.
	For time.Duration
	// LogDir is where the L command makes its files. Empty means the current folder.
	LogDir string
}

// Until is a text, a number of lines, or both: the first of them ends the monitor. The
// zero value waits for nothing.
type Until struct {
	// Text may be anywhere in the bytes of the board. The rest of its line is shown if it
	// follows within a tenth of a second.
	Text string
	// Lines is the number of lines shown, counting those that pass the filter.
	Lines int
}

// Register defines the flags and their defaults.
func (o *Options) Register(f *pflag.FlagSet) {
	f.DurationVar(&o.For, "monitor-for", 0, "watch for this `TIME`; with the next two flags, wait at most this long")
	f.IntVar(&o.Until.Lines, "monitor-lines", 0, "watch until the board has printed `N` lines")
	f.StringVar(&o.Until.Text, "monitor-until", "", "watch until the board prints this `TEXT`")
}

// Validate reports the first wrong option.
func (o *Options) Validate() error {
	return cmp.Or(
		cli.Require(o.For >= 0, "--monitor-for", "0 for no limit, or more"),
		cli.Require(o.Until.Lines >= 0, "--monitor-lines", "0 for no limit, or more"),
	)
}
