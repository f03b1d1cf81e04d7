package main

import (
	"cmp"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flashmap"
)

// defaultFlashBaud is what nearly every USB bridge and cable can do.
const defaultFlashBaud = 460800

// portOptions are the flags of what talks to a board.
type portOptions struct{ Port string }

func (o *portOptions) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.Port, "port", "", "the board's serial `PORT`, or tcp://HOST:PORT; otherwise the only one on USB")
	env(f, "port", "ESPTOOL_PORT")
}

// loaderOptions are the flags of what flashes a board. The names of resets are
// esptool's.
type loaderOptions struct {
	Chip, Before, After string
	Baud                int
}

func (o *loaderOptions) register(f *pflag.FlagSet) {
	f.IntVar(&o.Baud, "baud", defaultFlashBaud, "flash at this `RATE`")
	env(f, "baud", "ESPTOOL_BAUD")
	f.StringVar(&o.Chip, "chip", "", "flash only this `CHIP`, such as esp32c3")
	env(f, "chip", "ESPTOOL_CHIP")
	f.StringVar(&o.Before, "before", "", "the `WAY` into the loader: default_reset, usb_reset or no_reset")
	env(f, "before", "ESPTOOL_BEFORE")
	f.StringVar(&o.After, "after", "", "the `WAY` out of the loader: hard_reset, soft_reset or no_reset")
	env(f, "after", "ESPTOOL_AFTER")
}

// Validate reports values that mean nothing, before anything is built.
func (o *loaderOptions) Validate() error {
	if o.Baud < 1 {
		return usage("--baud: %d is not a rate", o.Baud)
	}
	_, _, err := o.resets(&flashmap.Map{})
	return err
}

// resets are the ways into and out of the loader: those of the flags, then
// those of the build.
func (o *loaderOptions) resets(m *flashmap.Map) (before flash.Before, after flash.After, err error) {
	if before, err = flash.ParseBefore(cmp.Or(o.Before, m.Before)); err == nil {
		after, err = flash.ParseAfter(cmp.Or(o.After, m.After))
	}
	if err != nil {
		return 0, 0, boardError(err)
	}
	return before, after, nil
}
