package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/client/artifacts"
	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/serialport"
	"github.com/farforge/farforge/common/flashmap"
)

// flashConfig is the command line of client flash.
type flashConfig struct {
	What string
	portOptions
	loaderOptions
	knownOptions
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
			if err := a.verifyMap(at, c.knownOptions); err != nil {
				return err
			}
			name, err := choosePort(c.Port, serialport.List)
			if err != nil {
				return err
			}
			board, err := a.flash(cmd.Context(), name, at, c.loaderOptions)
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
	c.portOptions.register(cmd.Flags())
	c.loaderOptions.register(cmd.Flags())
	c.knownOptions.register(cmd.Flags())
	return cmd
}

// verifyMap makes sure that what the flash map at a path names is what an agent
// has signed, where one has.
func (a *app) verifyMap(at string, o knownOptions) error {
	m, files, err := readMap(at)
	if err != nil {
		return err
	}
	if err := files.Close(); err != nil {
		return boardError(err)
	}
	known, err := o.known()
	if err != nil {
		return err
	}
	v, err := artifacts.VerifyMap(at, project.StateName, m, known)
	if err == nil && v != nil {
		a.ui.Say("verified: signed by %s", strings.Join(v.By, ", "))
	}
	return err
}

// board is a board that was flashed. Its port is open and goes on to a monitor,
// which shows the tail first.
type board struct {
	port    flash.Port
	tail    []byte
	flashed *console.Flashed
}

// flash writes what the flash map at the path says to the board on the port.
func (a *app) flash(ctx context.Context, name, at string, o loaderOptions) (*board, error) {
	m, files, err := readMap(at)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	before, after, err := o.resets(m)
	if err != nil {
		return nil, err
	}
	port, err := a.openPort(ctx, name, flash.DefaultBaud)
	if err != nil {
		return nil, err
	}
	b := &board{port: port}
	if err := b.write(ctx, a, name, m, files, flash.Options{Chip: o.Chip, Before: before, Baud: o.Baud, Log: a.log}, after); err != nil {
		return nil, boardError(errors.Join(err, port.Close()))
	}
	return b, nil
}

func (b *board) write(ctx context.Context, a *app, name string, m *flashmap.Map, files *os.Root, o flash.Options, after flash.After) error {
	d, err := flash.Connect(ctx, b.port, o)
	if err != nil {
		return err
	}
	a.ui.Board(name, d.Info())
	result, err := d.WriteMap(ctx, m, files.FS(), flash.WriteOptions{Progress: a.ui.Flash})
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

// readMap reads a flash map and opens the folder with its images.
func readMap(at string) (*flashmap.Map, *os.Root, error) {
	fail := func(err error) (*flashmap.Map, *os.Root, error) {
		return nil, nil, cli.Failf(cli.Usage, "cannot flash %s: %w", at, err)
	}
	info, err := os.Stat(at)
	if err != nil {
		return fail(err)
	}
	if info.Size() > flashmap.MaxFileSize {
		return fail(errors.New("it is too long for a flash map"))
	}
	text, err := os.ReadFile(at)
	if err != nil {
		return fail(err)
	}
	m, err := flashmap.Parse(text)
	if err != nil {
		return fail(err)
	}
	files, err := os.OpenRoot(filepath.Dir(at))
	if err != nil {
		return fail(err)
	}
	return m, files, nil
}
