package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/client/artifacts"
	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/command"
	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/serialport"
	"github.com/farforge/farforge/common/flashmap"
)

// chipConfig is the command line of the verbs of client chip.
type chipConfig struct {
	portOptions
	loaderOptions
}

func (a *app) chipCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "chip",
		Short: "Look at, erase, read, write or reset the chip on a port",
		Long: `Talk to the chip on this machine's serial port, as esptool and espflash do. Sizes
and offsets are decimal, hexadecimal with 0x, or have K or M behind them.`,
	}
	verb := func(use, short, long string, aliases []string, args cobra.PositionalArgs, run func(context.Context, *flash.Device, []string) error) *cobra.Command {
		var c chipConfig
		cmd := &cobra.Command{Use: use, Short: short, Long: long, Aliases: aliases, Args: args,
			RunE: func(cmd *cobra.Command, args []string) error {
				if err := c.Validate(); err != nil {
					return err
				}
				return a.onChip(cmd.Context(), c, func(ctx context.Context, d *flash.Device) error { return run(ctx, d, args) })
			}}
		cli.Section(cmd.Flags(), "Board", c.portOptions.register, c.loaderOptions.register)
		return cmd
	}
	exactly := func(n int, what string) cobra.PositionalArgs {
		return func(cmd *cobra.Command, args []string) error {
			if len(args) != n {
				return cli.Usagef("%s takes %s", cmd.CommandPath(), what).Hint("see " + cmd.CommandPath() + " --help")
			}
			return nil
		}
	}
	return command.Group(group,
		verb("info", "Print the chip, its flash and its security state", `Print the chip on the port: kind and revision, MAC address, flash id and size, and
the protections that its eFuses have switched on.`,
			[]string{"chip-id", "flash-id", "read-mac", "board-info", "get-security-info"}, exactly(0, "no argument"), a.chipInfo),
		verb("erase all | erase OFFSET SIZE", "Erase flash and prove that nothing else changed", `Erase the whole flash, or SIZE bytes at OFFSET, which must be whole sectors of
4096 bytes. What is erased is proved to be blank, and what surrounds it not to
have changed.`, []string{"erase-flash", "erase-region", "erase-parts"}, eraseArgs, a.chipErase),
		verb("read OFFSET SIZE FILE", "Copy flash to a file", `Copy SIZE bytes at OFFSET, or with "all" for SIZE everything from OFFSET on, to
FILE, and compare it with the chip's digest.`, []string{"read-flash"}, exactly(3, "an offset, a size and a file"), a.chipRead),
		verb("write FILE@OFFSET ...", "Write files to flash", `Write files to the flash at their offsets, as client flash does with a build:
nothing is written before all of it is known to fit, and nothing else changes.`,
			[]string{"write-flash", "write-bin"}, imageArgs, a.chipWrite),
		verb("verify FILE@OFFSET ...", "Compare files with the flash", `Compare files with the flash at their offsets. Nothing is written. A
difference gives exit code 7.`, []string{"verify-flash"}, imageArgs, a.chipVerify),
		verb("reset", "Restart the chip into its firmware", `Restart the chip on the port into its firmware, in the way that --after names.`,
			[]string{"run"}, exactly(0, "no argument"), func(context.Context, *flash.Device, []string) error { return nil }),
	)
}

// onChip connects to the chip, runs fn, and leaves the loader.
func (a *app) onChip(ctx context.Context, c chipConfig, fn func(context.Context, *flash.Device) error) error {
	before, after, _, err := c.resets(&flashmap.Map{})
	if err != nil {
		return err
	}
	name, err := choosePort(c.Port, serialport.List)
	if err != nil {
		return err
	}
	port, err := a.openPort(ctx, name, flash.DefaultBaud)
	if err != nil {
		return err
	}
	d, err := flash.Connect(ctx, port, flash.Options{Chip: c.Chip, Before: before, Baud: c.Baud, Log: a.log})
	if err == nil {
		a.ui.Board(name, d.Info())
		err = fn(ctx, d)
		if finishErr := d.Finish(ctx, after); err == nil {
			err = finishErr
		}
		err = errors.Join(err, d.Close())
	}
	return boardError(errors.Join(err, port.Close()))
}

func (a *app) chipInfo(_ context.Context, d *flash.Device, _ []string) error {
	info := d.Info()
	chip := console.NewChip(info)
	a.ui.Result("chip      %s %s", info.Title, chip.Revision)
	if chip.MAC != "" {
		a.ui.Result("MAC       %s", chip.MAC)
	}
	if chip.FlashID != "" {
		a.ui.Result("flash     %s, id %s", chip.FlashText(), chip.FlashID)
	}
	a.ui.Result("security  %s", strings.Join(chip.Protections(), ", "))
	a.ui.Done(console.Report{Chip: chip})
	return nil
}

func eraseArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && args[0] == "all" || len(args) == 2 {
		return nil
	}
	return cli.Usagef("%s takes the word all, or an offset and a size", cmd.CommandPath()).Hint("see " + cmd.CommandPath() + " --help")
}

func (a *app) chipErase(ctx context.Context, d *flash.Device, args []string) error {
	var offset uint32
	var size int64
	if args[0] != "all" {
		var err error
		if offset, err = parseOffset(args[0]); err != nil {
			return err
		}
		if size, err = parseSize(args[1]); err != nil {
			return err
		}
		if size == 0 {
			return cli.Usagef("there is nothing to erase: the size is 0").Hint("use client chip erase all for the whole flash")
		}
	}
	total := size
	if total == 0 {
		total = d.Info().FlashSize
	}
	p := flash.Progress{Region: fmt.Sprintf("flash at 0x%x", offset), Count: 1, Offset: offset, Total: int(total), Phase: flash.Erase}
	err := d.Erase(ctx, offset, size, func(n int64) {
		p.Written = int(n)
		a.ui.Flash(p)
	})
	if err != nil {
		return err
	}
	a.ui.Say("erased %d bytes at 0x%x; nothing else changed", p.Written, offset)
	a.ui.Done(console.Report{})
	return nil
}

func (a *app) chipRead(ctx context.Context, d *flash.Device, args []string) error {
	offset, err := parseOffset(args[0])
	if err != nil {
		return err
	}
	size := int64(0)
	if args[1] != "all" {
		if size, err = parseSize(args[1]); err != nil {
			return err
		}
		if size == 0 {
			return cli.Usagef("there is nothing to read: the size is 0").Hint("use all to read up to the end of the flash")
		}
	}
	f, err := os.OpenFile(args[2], os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // flash may hold secrets
	if err != nil {
		return cli.Failf(cli.Usage, "write the flash's contents to a file: %w", err)
	}
	w := bufio.NewWriter(f)
	err = d.Read(ctx, offset, size, w, nil)
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(args[2]))
	}
	a.ui.Result("%s", args[2])
	a.ui.Done(console.Report{})
	return nil
}

func (a *app) chipWrite(ctx context.Context, d *flash.Device, args []string) error {
	firmware, err := imageFiles(args)
	if err != nil {
		return err
	}
	result, err := d.WriteMap(ctx, firmware.Map, firmware.Files, flash.WriteOptions{Progress: a.ui.Flash})
	if err != nil {
		return err
	}
	for _, r := range result.Regions {
		a.ui.Result("0x%x  %s", r.Offset, r.Path)
	}
	a.ui.Done(console.Report{Flash: console.NewFlashed("", d.Info().Chip, result)})
	return nil
}

func (a *app) chipVerify(ctx context.Context, d *flash.Device, args []string) error {
	firmware, err := imageFiles(args)
	if err != nil {
		return err
	}
	result, err := d.VerifyMap(ctx, firmware.Map, firmware.Files, flash.WriteOptions{Size: "keep"})
	if err != nil {
		return err
	}
	for _, r := range result.Regions {
		a.ui.Result("0x%x  %s", r.Offset, r.Path)
	}
	a.ui.Done(console.Report{Flash: console.NewFlashed("", d.Info().Chip, result)})
	return nil
}

// parseSize reads a number of bytes such as 4096, 0x1000, 64K or 4MB.
func parseSize(s string) (int64, error) {
	digits, unit := strings.TrimSuffix(strings.ToUpper(s), "B"), int64(1)
	if strings.HasPrefix(strings.ToLower(s), "0x") {
		digits = s // B is a digit there
	} else if rest, ok := strings.CutSuffix(digits, "K"); ok {
		digits, unit = rest, 1<<10
	} else if rest, ok := strings.CutSuffix(digits, "M"); ok {
		digits, unit = rest, 1<<20
	}
	n, err := strconv.ParseUint(digits, 0, 32)
	if err != nil {
		return 0, cli.Usagef("%q is not a size or an offset", s).Hint("write it as 65536, 0x10000 or 64K")
	}
	return int64(n) * unit, nil
}

func parseOffset(s string) (uint32, error) {
	n, err := parseSize(s)
	if err == nil && n > 1<<32-1 {
		err = cli.Usagef("the offset %q is beyond every flash", s).Hint("write it as 65536, 0x10000 or 64K")
	}
	return uint32(n), err
}

// imageArgs accepts arguments such as app.bin@0x10000.
func imageArgs(_ *cobra.Command, args []string) error {
	_, err := imageFiles(args)
	return err
}

// imageFiles opens the files that arguments such as app.bin@0x10000 name.
func imageFiles(args []string) (*artifacts.Firmware, error) {
	if len(args) == 0 {
		return nil, cli.Usagef("there is no file to write").Hint("name it with its offset, such as app.bin@0x10000")
	}
	m, files := &flashmap.Map{}, namedFiles{}
	for _, arg := range args {
		at := strings.LastIndexByte(arg, '@')
		if at < 1 {
			return nil, cli.Usagef("%q has no offset", arg).Hint("name a file with its offset, such as app.bin@0x10000")
		}
		offset, err := parseOffset(arg[at+1:])
		if err != nil {
			return nil, err
		}
		m.Images = append(m.Images, flashmap.Image{Offset: offset, Path: files.add(arg[:at])})
	}
	m.Sort()
	if err := m.Validate(); err != nil {
		return nil, cli.Failf(cli.Usage, "flash these files: %w", err)
	}
	return &artifacts.Firmware{Map: m, Files: files}, nil
}
