package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/farforge/farforge/client/monitor"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/serialport"
)

// monitorOptions are the flags of what watches a board.
type monitorOptions struct {
	Baud  int
	For   time.Duration
	Lines int
	Until string
}

func (o *monitorOptions) register(f *pflag.FlagSet) {
	f.IntVar(&o.Baud, "monitor-baud", flash.DefaultBaud, "the `RATE` at which the firmware talks")
	f.DurationVar(&o.For, "monitor-for", 0, "watch for this long, such as 30s; with another --monitor flag, how long to wait for it")
	f.IntVar(&o.Lines, "monitor-lines", 0, "watch until this `NUMBER` of lines was seen")
	f.StringVar(&o.Until, "monitor-until", "", "watch until the board prints this `TEXT`")
}

// Validate reports values that mean nothing.
func (o *monitorOptions) Validate() error {
	switch {
	case o.Baud < 1:
		return usage("--monitor-baud: %d is not a rate", o.Baud)
	case o.For < 0:
		return usage("--monitor-for: %v is negative", o.For)
	case o.Lines < 0:
		return usage("--monitor-lines: %d is negative", o.Lines)
	}
	return nil
}

// monitorConfig is the command line of client monitor.
type monitorConfig struct {
	portOptions
	monitorOptions
}

func (a *app) monitorCommand() *cobra.Command {
	var c monitorConfig
	cmd := &cobra.Command{
		Use:   "monitor",
		Short: "Show what the board prints",
		Long: `Show what the board prints on its serial port, and send what is typed. Ctrl-]
leaves; Ctrl-T H shows the other keys.

With --monitor-until or --monitor-lines it ends by itself; if --monitor-for is
over before, it ends with exit code 7.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.Validate(); err != nil {
				return err
			}
			name, err := choosePort(c.Port, serialport.List)
			if err != nil {
				return err
			}
			port, err := a.openPort(cmd.Context(), name, c.Baud)
			if err != nil {
				return err
			}
			err = a.monitor(cmd.Context(), name, &board{port: port}, c.monitorOptions)
			return boardError(errors.Join(err, port.Close()))
		},
	}
	c.portOptions.register(cmd.Flags())
	c.monitorOptions.register(cmd.Flags())
	return cmd
}

// monitor watches the board until the options, the user or ctx end it.
func (a *app) monitor(ctx context.Context, name string, b *board, o monitorOptions) error {
	options := monitor.Options{
		Out: a.stdout, Initial: b.tail, For: o.For,
		Until: monitor.Until{Text: o.Until, Lines: o.Lines},
	}
	var lines *lineEvents
	if a.ui.JSON() {
		lines = &lineEvents{tell: a.ui.MonitorLine}
		options.Out = lines
	}
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		a.ui.Say("watching %s", name)
	} else {
		a.ui.Say("watching %s; Ctrl-] leaves, Ctrl-T H helps", name)
		was, err := term.MakeRaw(in)
		if err != nil {
			return cli.Failf(cli.Serial, "read the keyboard: %w", err)
		}
		defer func() { _ = term.Restore(in, was) }() // nothing is left to do
		out, isFile := a.stdout.(*os.File)
		options.In, options.RawTerminal = os.Stdin, lines == nil && isFile && term.IsTerminal(int(out.Fd()))
	}
	err := monitor.Run(ctx, b.port, options)
	if lines != nil {
		lines.end()
	}
	return err
}

// lineEvents makes an object of each line that is written to it.
type lineEvents struct {
	tell func(string)
	rest []byte
}

func (l *lineEvents) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.tell(string(bytes.TrimSuffix(line, []byte("\r"))))
		l.rest = rest
	}
}

func (l *lineEvents) end() {
	if len(l.rest) > 0 {
		l.tell(string(l.rest))
		l.rest = nil
	}
}
