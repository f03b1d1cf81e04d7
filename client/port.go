package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/monitor"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/serialport"
	"github.com/farforge/farforge/common/flashmap"
)

// defaultFlashBaud is a rate that nearly every USB bridge and cable supports.
const defaultFlashBaud = 460800

// portOptions are the flags of verbs that talk to a board.
type portOptions struct{ Port string }

func (o *portOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.Port, "port", "", "use the board on this serial `PORT` or tcp://HOST:PORT (default the only one on USB)")
	cli.Env(f, "port", "ESPTOOL_PORT")
}

// loaderOptions are the flags of verbs that flash a board. The names of resets
// are esptool's.
type loaderOptions struct {
	Chip, Before, After string
	Baud                int
}

// writeOptions are the flags of verbs that write a build to a board.
type writeOptions struct {
	Size, Mode, Freq string
	ProveAll         bool
}

func (o *writeOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.Size, "flash-size", "", "put this `SIZE` into the bootloader's header: keep, detect or such as 4MB (default the build's)")
	f.StringVar(&o.Mode, "flash-mode", "", "put this `MODE` into the bootloader's header: keep, qio, qout, dio or dout (default the build's)")
	f.StringVar(&o.Freq, "flash-freq", "", "put this `FREQUENCY` into the bootloader's header: keep or such as 40m (default the build's)")
	f.BoolVar(&o.ProveAll, "prove-all", false, "prove that nothing in the whole flash changed but the images, about two seconds for each MB")
}

func (o *loaderOptions) register(f *pflag.FlagSet) {
	f.IntVar(&o.Baud, "baud", defaultFlashBaud, "flash at this `RATE`")
	cli.Env(f, "baud", "ESPTOOL_BAUD")
	f.StringVar(&o.Chip, "chip", "", "refuse to flash any chip but `CHIP`, such as esp32c3")
	cli.Env(f, "chip", "ESPTOOL_CHIP")
	f.StringVar(&o.Before, "before", "", "enter the loader by `RESET`: default_reset, usb_reset or no_reset")
	cli.Env(f, "before", "ESPTOOL_BEFORE")
	f.StringVar(&o.After, "after", "", "leave the loader by `RESET`: hard_reset, soft_reset, watchdog_reset or no_reset")
	cli.Env(f, "after", "ESPTOOL_AFTER")
}

// Validate reports the first wrong option, before anything is built.
func (o *loaderOptions) Validate() error {
	if err := cli.Require(o.Baud >= 1, "--baud", "1 or more"); err != nil {
		return err
	}
	_, _, _, err := o.resets(&flashmap.Map{})
	return err
}

// resets returns the ways into and out of the loader: those of the flags, or else
// those of the flash map. A way of the map that is unknown here is replaced with the
// default, with a note.
func (o *loaderOptions) resets(m *flashmap.Map) (before flash.Before, after flash.After, notes []string, err error) {
	if before, err = flash.ParseBefore(cmp.Or(o.Before, m.Before)); err != nil {
		if o.Before != "" {
			return 0, 0, nil, boardError(err)
		}
		notes = append(notes, fmt.Sprintf("the build wants to enter the loader by %q, which is not known; default_reset is used", m.Before))
	}
	if after, err = flash.ParseAfter(cmp.Or(o.After, m.After)); err != nil {
		if o.After != "" {
			return 0, 0, nil, boardError(err)
		}
		notes = append(notes, fmt.Sprintf("the build wants to leave the loader by %q, which is not known; hard_reset is used", m.After))
	}
	return before, after, notes, nil
}

// choosePort returns the port that the user names, or the only one that a board
// can be on. It does not open the port, because that resets many boards.
func choosePort(named string, list func() ([]serialport.Info, error)) (string, error) {
	if named != "" {
		if _, err := os.Stat(named); filepath.IsAbs(named) && errors.Is(err, fs.ErrNotExist) {
			return "", cli.Failf(cli.Serial, "there is no port %s", named).
				Hint("plug the board in with a cable that carries data")
		}
		return named, nil
	}
	ports, err := list()
	if err != nil {
		return "", boardError(err)
	}
	var plausible, others []serialport.Info
	for _, p := range ports {
		switch {
		case strings.HasPrefix(p.Name, "/dev/tty."):
			// macOS has two devices for each port; this one waits for a modem.
		case p.USB || strings.Contains(strings.ToLower(p.Name), "usb"):
			plausible = append(plausible, p)
		default:
			others = append(others, p)
		}
	}
	switch len(plausible) {
	case 1:
		return plausible[0].Name, nil
	case 0:
		e := cli.Failf(cli.Serial, "no board was found: there is no serial port on USB").
			Hint("plug the board in with a cable that carries data")
		if len(others) > 0 {
			e.Hint("there are ports that are not on USB; name one with --port if it is the board's: " + names(others))
		}
		return "", e.Hint("to try things out without a board, see simulated-chip --help")
	default:
		e := cli.Failf(cli.Serial, "%d serial ports may have the board", len(plausible)).Hint("choose one with --port or ESPTOOL_PORT:")
		for _, p := range plausible {
			e.Hint("  " + describePort(p))
		}
		return "", e
	}
}

func names(ports []serialport.Info) string {
	var out []string
	for _, p := range ports {
		out = append(out, p.Name)
	}
	return strings.Join(out, ", ")
}

func describePort(p serialport.Info) string {
	text := p.Name
	if p.Product != "" {
		text += "  " + p.Product
	}
	if p.USB {
		text += fmt.Sprintf("  %04x:%04x", p.VID, p.PID)
	}
	if p.Serial != "" {
		text += "  serial number " + p.Serial
	}
	return text
}

// openPort opens the chosen port.
func (a *app) openPort(ctx context.Context, name string, baud int) (flash.Port, error) {
	port, err := serialport.Open(ctx, name, baud)
	if err != nil {
		return nil, boardError(err)
	}
	return port, nil
}

// boardError adds the exit code to an error about port, chip or firmware.
func boardError(err error) error {
	var known *cli.Error
	var e *flash.Error
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled):
		return cli.Fail(cli.Interrupted, err)
	case errors.Is(err, monitor.ErrNotSeen):
		return cli.Fail(cli.Verification, err, "wait longer with --monitor-for, or see all of its output with client monitor")
	case errors.As(err, &e):
		exit := cli.Serial
		switch e.Kind {
		case flash.KindVerify:
			exit = cli.Verification
		case flash.KindOption:
			exit = cli.Usage
		}
		failed := cli.Fail(exit, err)
		if e.Hint != "" {
			failed.Hint(e.Hint)
		}
		return failed
	default:
		return cli.Fail(cli.Serial, err)
	}
}
