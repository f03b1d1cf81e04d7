package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/client/artifacts"
	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/serialport"
)

// flashConfig is the command line of client flash.
type flashConfig struct {
	What string
	portOptions
	loaderOptions
	Trust trust.Options
}

func (c *flashConfig) Validate() error { return c.loaderOptions.Validate() }

func (a *app) flashCommand() *cobra.Command {
	var c flashConfig
	cmd := &cobra.Command{
		Use:   "flash [DIR | flasher_args.json]",
		Short: "Flash what was built",
		Long: `Flash a board with what client build has brought to DIR/.farforge/out, with what
ESP-IDF has built in DIR/build, or with what a flasher_args.json names.

What client build has brought is verified again first, as client verify does.
Nothing is written before chip, security state and flash size are known to fit.
What the flash holds already is skipped; what is written is compared.`,
		Args: folderArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.What = folder(args)
			if err := c.Validate(); err != nil {
				return err
			}
			at, err := artifacts.FindMap(c.What, project.StateName)
			if err != nil {
				return err
			}
			firmware, err := a.loadFirmware(at, c.Trust)
			if err != nil {
				return err
			}
			name, err := choosePort(c.Port, serialport.List)
			if err != nil {
				return err
			}
			board, err := a.flash(cmd.Context(), name, firmware, c.loaderOptions)
			if err != nil {
				return err
			}
			for _, r := range board.flashed.Regions {
				a.ui.Result("0x%x  %s", r.Offset, r.Path)
			}
			a.ui.Done(console.Report{Flash: board.flashed})
			return boardError(board.port.Close())
		},
	}
	cli.Section(cmd.Flags(), "Board", c.portOptions.register, c.loaderOptions.register)
	cli.Section(cmd.Flags(), "Agents", c.Trust.RegisterKnown)
	return cmd
}

// loadFirmware reads what the flash map at a path names, and checks it against the
// statement of the agent that has signed it, if one has.
func (a *app) loadFirmware(at string, o trust.Options) (*artifacts.Firmware, error) {
	known, err := o.Known()
	if err != nil {
		return nil, err
	}
	firmware, err := artifacts.LoadFirmware(at, project.StateName, known)
	if err == nil && len(firmware.By) > 0 {
		a.ui.Say("verified: signed by %s", strings.Join(firmware.By, ", "))
	}
	return firmware, err
}

// board is a board that was flashed. Its port is open and goes on to a monitor,
// which shows the tail first.
type board struct {
	port    flash.Port
	tail    []byte
	flashed *console.Flashed
}

// flash writes firmware to the board on the port.
func (a *app) flash(ctx context.Context, name string, firmware *artifacts.Firmware, o loaderOptions) (*board, error) {
	before, after, err := o.resets(firmware.Map)
	if err != nil {
		return nil, err
	}
	port, err := a.openPort(ctx, name, flash.DefaultBaud)
	if err != nil {
		return nil, err
	}
	b := &board{port: port}
	if err := b.write(ctx, a, name, firmware, flash.Options{Chip: o.Chip, Before: before, Baud: o.Baud, Log: a.log}, after); err != nil {
		return nil, boardError(errors.Join(err, port.Close()))
	}
	return b, nil
}

func (b *board) write(ctx context.Context, a *app, name string, firmware *artifacts.Firmware, o flash.Options, after flash.After) error {
	d, err := flash.Connect(ctx, b.port, o)
	if err != nil {
		return err
	}
	a.ui.Board(name, d.Info())
	result, err := d.WriteMap(ctx, firmware.Map, firmware.Files, flash.WriteOptions{Progress: a.ui.Flash})
	if err == nil {
		err = d.Finish(ctx, after)
	}
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	for _, r := range result.Regions {
		if r.Note != "" {
			a.ui.Say("%s: %s", r.Name, r.Note)
		}
	}
	b.tail, b.flashed = d.Tail(), console.NewFlashed(name, d.Info().Chip, result)
	return nil
}
