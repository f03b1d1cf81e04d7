package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// options are the flags.
type options struct {
	chip           string
	pty            bool
	tcp            string
	flash          string
	flashSize      string
	mac            string
	strap          string
	misbehave      []string
	link           string
	json           bool
	noAutoDownload bool
	verbose        bool
}

const longHelp = `A simulated Espressif chip that flashing tools can talk to.

This is a simulation. It answers the serial protocol of the chip's ROM, and that
of a stub once one was loaded; it keeps a flash, checks the image in it as the
boot ROM does, and runs an ESP32-C3 program in an interpreter, so that a monitor
shows what the firmware printed. An ESP32's image is checked but not run. Radio,
interrupts and most peripherals are absent. Only a board proves that firmware
works on a board.

The name of the port is printed on one line as soon as it can be opened. Neither
a pseudo-terminal nor TCP has the modem lines that reset a board, so a SYNC that
arrives while the application runs enters download mode by itself; tools leave
it with FLASH_END or a watchdog reset.

Misbehaviors are given as KIND, KIND@COMMAND, KIND@COMMAND#N or KIND@#N (from
the Nth on), slow with =DURATION:
  silent, garbage, half    no reply, noise, half a reply
  slow                     late replies, such as slow@READ_REG=500ms
  corrupt                  flash writes that fail without an error
  secure-boot, secure-download, flash-encryption
                           what the chip's fuses say`

const examples = `  simulated-chip
  simulated-chip --chip esp32 --tcp 127.0.0.1:0 --json
  simulated-chip --flash board.bin --link /tmp/board
  simulated-chip --misbehave silent@FLASH_DATA#3`

func newCommand(stdout, stderr io.Writer) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "simulated-chip",
		Short:         "Simulate an Espressif chip, for flashing without a board",
		Long:          longHelp,
		Example:       examples,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.config()
			if err != nil {
				return err
			}
			return serve(cmd.Context(), o, cfg, stdout, stderr)
		},
	}
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	f := cmd.Flags()
	f.StringVar(&o.chip, "chip", "esp32c3", "simulate this `CHIP`: "+strings.Join(simulator.ChipNames(), ", "))
	f.BoolVar(&o.pty, "pty", false, "serve on a pseudo-terminal (the default)")
	f.StringVar(&o.tcp, "tcp", "", "serve on this loopback `ADDRESS`, such as 127.0.0.1:0 for any free port")
	f.StringVar(&o.flash, "flash", "", "keep the flash in `FILE`: read it at the start if it exists, write it at the end")
	f.StringVar(&o.flashSize, "flash-size", "4MB", "simulate a flash of this `SIZE`, 256KB to 16MB")
	f.StringVar(&o.mac, "mac", "", "put this MAC `ADDRESS` into the fuses (default 02:00:00:53:49:4d)")
	f.StringVar(&o.strap, "strap", "flash", "set the boot `STRAP` at power-on: flash or download")
	f.StringArrayVar(&o.misbehave, "misbehave", nil, "misbehave in this `WAY`, see above; may be repeated")
	f.StringVar(&o.link, "link", "", "make a symbolic link at `PATH` to the pseudo-terminal")
	f.BoolVar(&o.json, "json", false, "print the port as a JSON object")
	f.BoolVar(&o.noAutoDownload, "no-auto-download", false, "stay in the application when a SYNC arrives")
	f.BoolVar(&o.verbose, "verbose", false, "log every command to stderr")
	cmd.MarkFlagsMutuallyExclusive("pty", "tcp")
	cmd.MarkFlagsMutuallyExclusive("link", "tcp")
	return cmd
}

// config turns the flags into a configuration, without touching any file.
func (o options) config() (simulator.Config, error) {
	cfg := simulator.Config{Chip: o.chip, AutoDownload: !o.noAutoDownload}
	var err error
	if cfg.FlashSize, err = parseSize(o.flashSize); err != nil {
		return cfg, err
	}
	if o.mac != "" {
		if cfg.MAC, err = net.ParseMAC(o.mac); err != nil {
			return cfg, fmt.Errorf("--mac: %w", err)
		}
	}
	switch o.strap {
	case "flash":
	case "download":
		cfg.Strap = simulator.Download
	default:
		return cfg, fmt.Errorf("--strap %q is neither flash nor download", o.strap)
	}
	for _, s := range o.misbehave {
		m, err := simulator.ParseMisbehavior(s)
		if err != nil {
			return cfg, err
		}
		cfg.Misbehave = append(cfg.Misbehave, m)
	}
	if o.tcp != "" {
		if err := loopback(o.tcp); err != nil {
			return cfg, err
		}
	}
	_, err = simulator.New(cfg)
	return cfg, err
}

// parseSize reads sizes as flashing tools write them.
func parseSize(s string) (int, error) {
	for unit, factor := range map[string]int{"KB": 1 << 10, "MB": 1 << 20} {
		digits, is := strings.CutSuffix(strings.ToUpper(s), unit)
		if n, err := strconv.Atoi(digits); is && err == nil && n > 0 && n <= 1024 {
			return n * factor, nil
		}
	}
	return 0, fmt.Errorf("--flash-size %q is not a size such as 512KB or 4MB", s)
}

// loopback refuses addresses that other machines could reach: every client controls the
// simulated chip.
func loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--tcp: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--tcp %s is not a loopback address; use 127.0.0.1:0", address)
	}
	return nil
}
