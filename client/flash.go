package main

import (
	"context"
	"errors"
	"os"
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
	writeOptions
	Trust trust.Options
}

func (c *flashConfig) Validate() error { return c.loaderOptions.Validate() }

func (a *app) flashCommand() *cobra.Command {
	var c flashConfig
	cmd := &cobra.Command{
		Use:   "flash [DIR | flasher_args.json | FILE@OFFSET ...]",
		Short: "Flash a build to the board",
		Long: `Flash a board with the artifacts of client build in DIR/.farforge/out, with a build
of ESP-IDF in DIR/build, with the files that a flasher_args.json names, or with
files at offsets, such as app.bin@0x10000.

The artifacts of client build are verified again first, as client verify does.
Nothing is written before chip, security state and flash size are known to fit.
Sectors that are already right are skipped. Written sectors are compared with the
files, and the sectors around them are proved to be unchanged.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if namesFiles(args) {
				return imageArgs(cmd, args)
			}
			return folderArg(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c.What = folder(args)
			if err := c.Validate(); err != nil {
				return err
			}
			firmware, err := a.findFirmware(c, args)
			if err != nil {
				return err
			}
			name, err := choosePort(c.Port, serialport.List)
			if err != nil {
				return err
			}
			board, err := a.flash(cmd.Context(), name, firmware, c.loaderOptions, c.writeOptions)
			if err != nil {
				return err
			}
			if err := board.port.Close(); err != nil {
				return boardError(err)
			}
			for _, r := range board.flashed.Regions {
				a.ui.Result("0x%x  %s", r.Offset, r.Path)
			}
			a.ui.Done(console.Report{Flash: board.flashed})
			return nil
		},
	}
	cli.Section(cmd.Flags(), "Board", c.portOptions.register, c.loaderOptions.register, c.writeOptions.register)
	cli.Section(cmd.Flags(), "Agents", c.Trust.RegisterKnown)
	return cmd
}

// namesFiles reports whether the arguments are files at offsets. A folder may have an @
// in its name.
func namesFiles(args []string) bool {
	for _, arg := range args {
		if _, err := os.Stat(arg); err != nil && strings.Contains(arg, "@") {
			return true
		}
	}
	return false
}

// findFirmware returns the firmware that the arguments name.
func (a *app) findFirmware(c flashConfig, args []string) (*artifacts.Firmware, error) {
	if namesFiles(args) {
		return imageFiles(args)
	}
	at, err := artifacts.FindMap(c.What, project.StateName)
	if err != nil {
		return nil, err
	}
	return a.loadFirmware(at, c.Trust)
}

// loadFirmware reads the flash map at a path and its images, and checks them against the
// agent's signed statement, if there is one.
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

// board is a flashed board. Its port stays open for a monitor, which shows the
// tail first.
type board struct {
	port    flash.Port
	tail    []byte
	flashed *console.Flashed
}

// flash writes firmware to the board on the port.
func (a *app) flash(ctx context.Context, name string, firmware *artifacts.Firmware, o loaderOptions, w writeOptions) (*board, error) {
	before, after, notes, err := o.resets(firmware.Map)
	if err != nil {
		return nil, err
	}
	for _, note := range notes {
		a.ui.Say("%s", note)
	}
	port, err := a.openPort(ctx, name, flash.DefaultBaud)
	if err != nil {
		return nil, err
	}
	b := &board{port: port}
	options := flash.WriteOptions{Size: w.Size, Mode: w.Mode, Freq: w.Freq, ProveAll: w.ProveAll, Progress: a.ui.Flash}
	if err := b.write(ctx, a, name, firmware, flash.Options{Chip: o.Chip, Before: before, Baud: o.Baud, Log: a.log}, options, after); err != nil {
		return nil, boardError(errors.Join(err, port.Close()))
	}
	return b, nil
}

func (b *board) write(ctx context.Context, a *app, name string, firmware *artifacts.Firmware, o flash.Options, w flash.WriteOptions, after flash.After) error {
	d, err := flash.Connect(ctx, b.port, o)
	if err != nil {
		return err
	}
	a.ui.Board(name, d.Info())
	result, err := d.WriteMap(ctx, firmware.Map, firmware.Files, w)
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
