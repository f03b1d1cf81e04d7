// Package chips describes each chip in one small file: how its ROM is recognized, where
// its registers are, where its bootloader is in flash. Nothing here talks to a port; a
// chip's functions read registers through an interface.
//
// The numbers are those of Espressif's technical reference manuals. The documentation of
// esptool describes which of them a flasher needs.
package chips

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Registers reads and writes 32-bit words of the chip's address space.
type Registers interface {
	ReadReg(ctx context.Context, addr uint32) (uint32, error)
	WriteReg(ctx context.Context, addr, value uint32) error
}

// MagicAddr is the address of a word of the ROM that identifies each chip before the
// ESP32-C6.
const MagicAddr = 0x40001000

// Chip describes one kind of chip. The functions may be called for a chip of this kind
// only. They return the errors of the registers.
type Chip struct {
	Name  string // esptool's name, such as "esp32c3"
	Title string // the datasheet's name, such as "ESP32-C3"

	ImageID          uint16   // chip id in an image's header and in GET_SECURITY_INFO
	Magic            []uint32 // values the ROM may hold at MagicAddr
	BootloaderOffset uint32   // where the ROM looks for the second-stage bootloader
	EncryptedWord    bool     // *_BEGIN commands carry a fifth word
	USBSerialJTAG    bool     // the chip has a USB port of its own
	// ExactDeflate says that the ROM ends a deflated write with the end of the data,
	// as measured. An ESP32's ROM writes its whole inflate window instead.
	ExactDeflate bool

	SPI         SPI
	Frequencies map[string]byte // flash frequency to the low nibble of header byte 3

	MAC      func(ctx context.Context, r Registers) ([6]byte, error)
	Revision func(ctx context.Context, r Registers) (Revision, error)
	// Security reads the state from eFuses. It is for a ROM without
	// GET_SECURITY_INFO and nil for the others.
	Security func(ctx context.Context, r Registers) (Security, error)
	// Prepare makes the chip ready to stay in its loader for long. May be nil.
	Prepare func(ctx context.Context, r Registers, rev Revision) error
	// BaudWord returns the word that CHANGE_BAUD needs for a rate while the line is at
	// the rate now. Nil means the rate itself.
	BaudWord func(ctx context.Context, r Registers, baud, now int) (uint32, error)
	// Watchdog resets the chip by its RTC's watchdog. Nil if the chip has no use for it.
	Watchdog func(ctx context.Context, r Registers) error
	// NoVerify says why the ROM cannot verify a write. Empty if it can.
	NoVerify string
}

// SPI holds the addresses of the flash chip's controller.
type SPI struct {
	Cmd, Usr, Usr1, Usr2, MosiLen, MisoLen, W0 uint32
}

// Revision is a chip's silicon revision, written v0.4.
type Revision struct{ Major, Minor int }

func (r Revision) String() string { return fmt.Sprintf("v%d.%d", r.Major, r.Minor) }

// Number is the form image headers use: major times 100 plus minor.
func (r Revision) Number() int { return r.Major*100 + r.Minor }

// Security describes the protections that restrict flashing.
type Security struct {
	SecureBoot      bool // the chip runs signed firmware only
	FlashEncryption bool // the chip reads its flash through a decryption key
	SecureDownload  bool // the loader takes few commands, and no register access
}

// All returns the chips in the order of their release.
func All() []*Chip {
	return []*Chip{esp8266(), esp32(), esp32s2(), esp32c3(), esp32s3(), esp32c2(), esp32c6(), esp32h2(), esp32p4(), esp32c61(), esp32c5()}
}

// ByName finds a chip by a name such as "esp32c3", "ESP32-C3" or "esp32-c3".
func ByName(name string) (*Chip, bool) {
	n := Normal(name)
	return find(func(c *Chip) bool { return c.Name == n })
}

// NoImageID is the ImageID of an ESP8266, whose images have no place for one.
const NoImageID = 0xFFFF

// ByImageID finds a chip by the id in images and in GET_SECURITY_INFO.
func ByImageID(id uint16) (*Chip, bool) {
	return find(func(c *Chip) bool { return c.ImageID == id && id != NoImageID })
}

// ByMagic finds a chip by the word at MagicAddr.
func ByMagic(word uint32) (*Chip, bool) {
	return find(func(c *Chip) bool { return slices.Contains(c.Magic, word) })
}

func find(ok func(*Chip) bool) (*Chip, bool) {
	all := All()
	if i := slices.IndexFunc(all, ok); i >= 0 {
		return all[i], true
	}
	return nil, false
}

// Normal brings a chip's name to the form of Chip.Name.
func Normal(name string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(name))
}

// Canonical returns the Name of a chip in any spelling, such as "esp32c3" for "ESP32-C3".
// Any other name, such as "linux-x86", and any name with a blank is returned unchanged.
func Canonical(name string) string {
	if c, ok := ByName(name); ok && !strings.Contains(name, " ") {
		return c.Name
	}
	return name
}

// NameOfImageID returns the name of the chip that an image is for, or the number of an
// unknown id.
func NameOfImageID(id uint16) string {
	if c, ok := ByImageID(id); ok {
		return c.Name
	}
	return fmt.Sprintf("an unknown chip (id %d)", id)
}

// words reads consecutive registers.
func words(ctx context.Context, r Registers, addrs ...uint32) ([]uint32, error) {
	out := make([]uint32, len(addrs))
	for i, a := range addrs {
		w, err := r.ReadReg(ctx, a)
		if err != nil {
			return nil, err
		}
		out[i] = w
	}
	return out, nil
}

// mac puts the address together from the word with its upper two bytes and the
// word with its lower four.
func mac(high, low uint32) [6]byte {
	return [6]byte{byte(high >> 8), byte(high), byte(low >> 24), byte(low >> 16), byte(low >> 8), byte(low)}
}
