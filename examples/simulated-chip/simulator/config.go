package simulator

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"net"
	"time"
)

// Strap is the level of the boot strap pin when the chip gets power.
type Strap int

const (
	// FlashBoot starts the application from flash, as a board on a desk does.
	FlashBoot Strap = iota
	// Download starts the ROM's serial loader, as with the BOOT button held.
	Download
)

// String returns "flash" or "download".
func (s Strap) String() string {
	if s == Download {
		return "download"
	}
	return "flash"
}

// Config describes a simulated chip. Only Chip is required.
type Config struct {
	// Chip is a name that ChipNames lists, such as "esp32c3" or "ESP32-C3".
	Chip string
	// FlashSize is the size of the flash part in bytes, a power of two from
	// 256 KiB to 16 MiB. Zero means 4 MiB.
	FlashSize int
	// Flash holds the initial contents of the flash, from offset 0; the rest is erased
	// (0xFF). It is copied.
	Flash []byte
	// MAC is the station address in the simulated fuses. Nil means a locally
	// administered address whose last bytes spell SIM.
	MAC net.HardwareAddr
	// Strap is the boot strap at power-on.
	Strap Strap
	// AutoDownload is a convenience of the simulation, for transports without
	// modem lines (a pseudo-terminal, TCP): when a SYNC arrives while the
	// application runs, the chip behaves as if the auto-reset circuit had been
	// driven into download mode. A real board on such a line would need its
	// buttons pressed.
	AutoDownload bool
	// Misbehave lists the faults. Empty means a healthy chip.
	Misbehave []Misbehavior
	// InvalidHeaderInterval is the time between the "invalid header" lines that
	// the boot ROM prints for an image it cannot boot. Zero means 125 ms.
	InvalidHeaderInterval time.Duration
	// Clock is the time of the chip. Nil means the machine's.
	Clock Clock
	// Logger gets one debug line for each command, and warnings. Nil discards them.
	Logger *slog.Logger
}

const (
	defaultFlashSize      = 4 << 20
	defaultHeaderInterval = 125 * time.Millisecond
)

// withDefaults fills empty fields and checks the others.
func (c Config) withDefaults() (Config, error) {
	if c.FlashSize == 0 {
		c.FlashSize = defaultFlashSize
	}
	if c.MAC == nil {
		c.MAC = net.HardwareAddr{0x02, 0x00, 0x00, 'S', 'I', 'M'}
	}
	if c.InvalidHeaderInterval == 0 {
		c.InvalidHeaderInterval = defaultHeaderInterval
	}
	if c.Clock == nil {
		c.Clock = wallClock{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.FlashSize < 256<<10 || c.FlashSize > 16<<20 || bits.OnesCount(uint(c.FlashSize)) != 1:
		return c, fmt.Errorf("flash size %d is not a power of two from 256 KiB to 16 MiB", c.FlashSize)
	case len(c.Flash) > c.FlashSize:
		return c, fmt.Errorf("initial flash contents have %d bytes, the flash only %d", len(c.Flash), c.FlashSize)
	case len(c.MAC) != 6:
		return c, fmt.Errorf("MAC address %q does not have 6 bytes", c.MAC)
	case c.InvalidHeaderInterval < 0:
		return c, errors.New("the interval between \"invalid header\" lines is negative")
	}
	c.Flash = bytes.Clone(c.Flash)
	for _, m := range c.Misbehave {
		if err := m.validate(c.Chip); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Clock is the time of a simulated chip. It exists for tests that control time; inside a testing/synctest bubble the default clock is already
// the bubble's. Implementations must be safe for concurrent use.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// After returns a channel that gets the time once d has passed.
	After(d time.Duration) <-chan time.Time
}

// wallClock is the machine's own time.
type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
