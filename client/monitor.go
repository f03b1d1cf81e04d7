package main

import (
	"cmp"
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/monitor"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/serialport"
)

// monitorOptions are a monitor's options and the port's rate.
type monitorOptions struct {
	Baud int
	monitor.Options
}

func (o *monitorOptions) register(f *pflag.FlagSet) {
	f.IntVar(&o.Baud, "monitor-baud", flash.DefaultBaud, "read what the firmware prints at this `RATE`")
	o.Options.Register(f)
}

// Validate reports the first wrong option.
func (o *monitorOptions) Validate() error {
	return cmp.Or(cli.Require(o.Baud >= 1, "--monitor-baud", "1 or more"), o.Options.Validate())
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
over before that, it ends with exit code 7.`,
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
			if err := errors.Join(err, port.Close()); err != nil {
				return boardError(err)
			}
			a.ui.Done(console.Report{})
			return nil
		},
	}
	cli.Section(cmd.Flags(), "Board", c.portOptions.register)
	cli.Section(cmd.Flags(), "Monitor", c.monitorOptions.register)
	return cmd
}

// monitor watches the board until the options, the user or ctx end it.
func (a *app) monitor(ctx context.Context, name string, b *board, o monitorOptions) error {
	options := o.Options
	options.Out, options.Initial = a.stdout, b.tail
	if a.ui.JSON() {
		options.LineTo = a.ui.MonitorLine
	}
	options.Reopen = serialport.Reopener(name, o.Baud)
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
		options.In, options.RawTerminal = os.Stdin, options.LineTo == nil && isFile && term.IsTerminal(int(out.Fd()))
	}
	return monitor.Run(ctx, b.port, options)
}
