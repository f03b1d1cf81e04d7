package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/serialport"
)

// runConfig is the command line of client run.
type runConfig struct {
	buildConfig
	portOptions
	loaderOptions
	writeOptions
	monitorOptions
	Monitor bool
}

func (c *runConfig) register(f *pflag.FlagSet) {
	c.buildConfig.register(f)
	cli.Section(f, "Board", c.portOptions.register, c.loaderOptions.register, c.writeOptions.register)
	cli.Section(f, "Monitor", c.monitorOptions.register, c.registerMonitor)
}

func (c *runConfig) registerMonitor(f *pflag.FlagSet) {
	f.BoolVar(&c.Monitor, "monitor", true, "show what the board prints after flashing")
}

// Validate reports the first wrong option.
func (c *runConfig) Validate() error {
	return cmp.Or(c.buildConfig.Validate(), c.loaderOptions.Validate(), c.monitorOptions.Validate())
}

func (a *app) runCommand() *cobra.Command {
	var c runConfig
	cmd := &cobra.Command{
		Use:   "run [DIR]",
		Short: "Build on an agent, flash the board here, show what it prints",
		Long: `Build the project in DIR, or here, on an agent; bring the artifacts back; flash
the board on this machine's serial port; show what it prints.

It runs client build, client flash and client monitor one after the other, and
takes the flags of all three. The port is chosen first, so that a
missing board is reported before the build.`,
		Args: folderArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.from(args); err != nil {
				return err
			}
			if err := c.Validate(); err != nil {
				return err
			}
			return a.run(cmd.Context(), c)
		},
	}
	c.register(cmd.Flags())
	return cmd
}

func (a *app) run(ctx context.Context, c runConfig) error {
	name, err := choosePort(c.Port, serialport.List)
	if err != nil {
		return err
	}
	built, set, err := a.build(ctx, c.buildConfig)
	if err != nil {
		return err
	}
	a.list(built.Dir, built.Artifacts)
	if set.FlashMap == "" {
		return cli.Failf(cli.BuildFailed, "the build made nothing to flash").
			Hint("its artifacts are in "+set.Dir, "the recipe on the agent has to make a flasher_args.json or to declare offsets")
	}
	firmware, err := set.Firmware()
	if err != nil {
		return err
	}
	b, err := a.flash(ctx, name, firmware, c.loaderOptions, c.writeOptions)
	if err != nil {
		return err
	}
	report := console.Report{Build: built, Flash: b.flashed}
	a.ui.Built(report)
	if c.Monitor {
		if rate, ok := b.port.(interface{ SetBaudRate(int) error }); ok && c.monitorOptions.Baud != flash.DefaultBaud {
			err = rate.SetBaudRate(c.monitorOptions.Baud)
		}
		if err == nil {
			err = a.monitor(ctx, name, b, c.monitorOptions)
		}
	}
	if err := errors.Join(err, b.port.Close()); err != nil {
		return boardError(err)
	}
	a.ui.Finish(report)
	return nil
}
