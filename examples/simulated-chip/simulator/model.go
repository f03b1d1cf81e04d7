package simulator

import (
	"fmt"
	"slices"
	"strings"

	"github.com/farforge/farforge/common/flash/chips"
)

// model describes a kind of chip.
type model struct {
	name        string
	title       string
	imageChipID uint16
	imageOffset uint32 // where the ROM looks for an image
	directBoot  bool   // the ROM knows the direct-boot magic
	beginSize   int    // bytes of FLASH_BEGIN that the ROM takes
	security    bool   // the ROM knows GET_SECURITY_INFO
	// flushesWindow reports whether the ROM ends a deflated write with its whole inflate
	// window.
	flushesWindow bool
	// stale are the bytes of a successful status behind the flag. Nil means a zero and
	// the end of the last data.
	stale      []byte
	runsCode   bool // the simulation has a processor for it
	spi        spiLayout
	wdt        wdtLayout
	uartClkDiv uint32 // the register a host reads the crystal from
	ram        []span // where programs may be loaded
	banner     string
	disabled   string // printed instead of entering a download mode that fuses forbid
	bootLine   func(why reason, download bool) string
	fuses      func(c *Chip) map[uint32]uint32

	// Of the chips that modern begins.
	magic      uint32            // the word by which a ROM is recognized
	mac        uint32            // where the address is
	revision   map[uint32]uint32 // fuse words
	bootSecure map[Kind]fuse
	special    func(mac []byte) map[uint32]uint32
	crystal    uint64   // in Hz
	statusLen  int      // of the ROM's answers; zero means four
	commands   []Opcode // that the ROM knows; nil means all
}

// fuse is the bit of a protection.
type fuse struct{ addr, bit uint32 }

// knows reports whether the ROM has a command.
func (m *model) knows(op Opcode) bool { return m.commands == nil || slices.Contains(m.commands, op) }

// staleStatus returns the last three bytes of a successful status.
func (m *model) staleStatus(tail [2]byte) []byte {
	if m.stale != nil {
		return m.stale
	}
	return []byte{0, tail[0], tail[1]}
}

// securitySize returns the length of the answer to GET_SECURITY_INFO.
func (m *model) securitySize() int {
	if m.name == "esp32s2" {
		return 12
	}
	return 20
}

// span is a range of addresses, end excluded.
type span struct{ start, end uint32 }

func (s span) holds(addr, length uint32) bool {
	return addr >= s.start && uint64(addr)+uint64(length) <= uint64(s.end)
}

// spiLayout holds the registers of the flash's SPI controller.
type spiLayout struct {
	base                                            uint32
	addr, usr, usr1, usr2, mosiLen, misoLen, window uint32
	lengthInUsr1                                    bool // there is no misoLen
}

// wdtLayout holds the registers of the RTC watchdog.
type wdtLayout struct{ config0, config1, protect uint32 }

const wdtKey = 0x50D83AA1

// models are all the chips that the simulation knows.
func models() []*model {
	return []*model{esp8266(), esp32(), esp32s2(), esp32c3(), esp32s3(), esp32c2(), esp32c6(), esp32h2(), esp32p4(), esp32c61(), esp32c5()}
}

// ChipNames lists the chips that Config.Chip may name.
func ChipNames() []string {
	var names []string
	for _, m := range models() {
		names = append(names, m.name)
	}
	return names
}

// modelOf finds a chip by a name such as "esp32c3" or "ESP32-C3".
func modelOf(name string) (*model, error) {
	all := strings.Join(ChipNames(), ", ")
	if name == "" {
		return nil, fmt.Errorf("no chip was named; the simulation knows %s", all)
	}
	for _, m := range models() {
		if m.name == chips.Normal(name) {
			return m, nil
		}
	}
	return nil, fmt.Errorf("the simulation does not know %q; it knows %s", name, all)
}

// reason is the reason for a reset; stays means none.
type reason int

const (
	stays reason = iota
	powerOn
	software
	rtcWatchdog
	timerWatchdog
	superWatchdog
	panicked
)
