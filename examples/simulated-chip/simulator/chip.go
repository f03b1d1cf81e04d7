package simulator

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// ErrBusy is returned when a chip is already connected: a UART has one cable.
var ErrBusy = errors.New("the simulated chip is already connected")

// Chip is one simulated chip. Make it with [New], connect it with [Chip.Serve]
// or [Chip.Port]; its methods are safe for concurrent use. It keeps its state,
// flash included, from one connection to the next. It runs only while it is connected.
type Chip struct {
	cfg    Config
	model  *model
	flash  *nor
	faults *faults
	log    *slog.Logger

	mu        sync.Mutex
	connected bool

	// Everything below belongs to the goroutine that serves the connection.
	mode   mode
	lines  lines
	baud   int
	slip   slipDecoder
	loader loader
	bus    *registers
	prog   program
	wake   time.Time // when the program or a watchdog is due; zero: nothing is
}

// mode is a state of the diagram in the package comment.
type mode int

const (
	off      mode = iota // never had power
	held                 // EN low
	rising               // EN rising, both lines asserted: the strap is not known yet
	download             // the ROM's loader, or a stub
	running              // past the ROM: an application, or the message that there is none
)

// New makes a simulated chip without power; it starts when it is connected.
func New(cfg Config) (*Chip, error) {
	m, err := modelOf(cfg.Chip)
	if err != nil {
		return nil, err
	}
	cfg.Chip = m.name
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("simulated %s: %w", m.title, err)
	}
	c := &Chip{
		cfg:    cfg,
		model:  m,
		faults: newFaults(cfg.Misbehave),
		log:    cfg.Logger.With("simulated_chip", cfg.Chip),
	}
	c.flash = newNOR(cfg.FlashSize, cfg.Flash, c.faults.has(Corrupt))
	c.bus = newRegisters(c)
	return c, nil
}

// Flash returns a copy of the flash.
func (c *Chip) Flash() []byte { return c.flash.snapshot() }

// Name returns the chip's name as datasheets write it, such as "ESP32-C3".
func (c *Chip) Name() string { return c.model.title }

// connect claims the chip for one connection.
func (c *Chip) connect() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.connected {
		return ErrBusy
	}
	c.connected = true
	return nil
}

func (c *Chip) disconnect() {
	c.loader.abandon()
	c.slip = slipDecoder{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connected = false
}
