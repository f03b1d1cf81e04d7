package simulator

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind is a way to misbehave.
type Kind string

// The ways to misbehave. The first four can be tied to a command; the rest
// describe the chip from the start.
const (
	// Silent stops all replies until the simulation ends, even after resets.
	Silent Kind = "silent"
	// Garbage sends noise instead of replies.
	Garbage Kind = "garbage"
	// Slow delays every reply by Delay.
	Slow Kind = "slow"
	// Half sends only the first half of every reply.
	Half Kind = "half"
	// Corrupt makes flash writes clear one bit too many, so that the MD5 differs although
	// every command succeeded.
	Corrupt Kind = "corrupt"
	// SecureBoot sets the fuses of secure boot; no image boots.
	SecureBoot Kind = "secure-boot"
	// SecureDownload makes the ROM refuse registers and RAM downloads. ESP32-C3 only.
	SecureDownload Kind = "secure-download"
	// FlashEncryption sets the fuses of flash encryption; unencrypted contents do not
	// boot.
	FlashEncryption Kind = "flash-encryption"
	// DownloadDisabled sets the fuses that forbid download mode. The ROM prints a message
	// and answers nothing.
	DownloadDisabled Kind = "download-disabled"
)

// Kinds lists the ways to misbehave, for help texts.
func Kinds() []Kind {
	return []Kind{Silent, Garbage, Slow, Half, Corrupt, SecureBoot, SecureDownload, FlashEncryption, DownloadDisabled}
}

// Misbehavior is one fault, and the command at which it begins.
type Misbehavior struct {
	Kind Kind
	// Command limits it to one command; zero means all of them.
	Command Opcode
	// Nth is the first occurrence that it applies to, counted from 1 over
	// Command (or over all commands) since power-on. Zero means 1.
	Nth int
	// Delay is the delay of a Slow reply.
	Delay time.Duration
}

// timed reports whether the kind can be tied to a command.
func (k Kind) timed() bool { return k == Silent || k == Garbage || k == Slow || k == Half }

func (m Misbehavior) validate(chip string) error {
	known := false
	for _, k := range Kinds() {
		known = known || k == m.Kind
	}
	switch {
	case !known:
		return fmt.Errorf("no misbehavior is called %q; known are %v", m.Kind, Kinds())
	case !m.Kind.timed() && (m.Command != 0 || m.Nth != 0):
		return fmt.Errorf("%s holds from the start and cannot be tied to a command", m.Kind)
	case m.Nth < 0:
		return fmt.Errorf("%s from command number %d: numbers begin at 1", m.Kind, m.Nth)
	case m.Kind == Slow && m.Delay <= 0:
		return fmt.Errorf("slow needs a delay above zero, such as slow=500ms")
	case m.Kind != Slow && m.Delay != 0:
		return fmt.Errorf("%s takes no delay", m.Kind)
	case m.Kind == SecureDownload && (chip == "esp32" || chip == "esp8266"):
		return fmt.Errorf("an %s has no secure download mode", strings.ToUpper(chip))
	}
	return nil
}

// ParseMisbehavior reads the short form that the simulated-chip command takes:
//
//	silent                 from the first command on
//	silent@FLASH_DATA      from the first FLASH_DATA on
//	silent@FLASH_DATA#3    from the third FLASH_DATA on
//	silent@#12             from the twelfth command on
//	slow@READ_REG=500ms    each READ_REG answered half a second late
//	secure-boot            and the other states of the chip
func ParseMisbehavior(s string) (Misbehavior, error) {
	bad := func(err error) (Misbehavior, error) {
		return Misbehavior{}, fmt.Errorf("misbehavior %q: %w", s, err)
	}
	var m Misbehavior
	rest, delay, hasDelay := strings.Cut(s, "=")
	if hasDelay {
		d, err := time.ParseDuration(delay)
		if err != nil {
			return bad(err)
		}
		m.Delay = d
	}
	kind, at, hasAt := strings.Cut(rest, "@")
	m.Kind = Kind(strings.ToLower(kind))
	if hasAt {
		name, nth, hasNth := strings.Cut(at, "#")
		if name == "" && !hasNth {
			return bad(fmt.Errorf("nothing follows the @; give a command or #number"))
		}
		if name != "" {
			op, err := ParseOpcode(name)
			if err != nil {
				return bad(err)
			}
			m.Command = op
		}
		if hasNth {
			n, err := strconv.Atoi(nth)
			if err != nil || n < 1 {
				return bad(fmt.Errorf("%q is not a number from 1", nth))
			}
			m.Nth = n
		}
	}
	if err := m.validate(""); err != nil {
		return bad(err)
	}
	return m, nil
}

// String returns the short form that ParseMisbehavior reads.
func (m Misbehavior) String() string {
	s := string(m.Kind)
	if m.Command != 0 || m.Nth != 0 {
		s += "@"
		if m.Command != 0 {
			s += m.Command.String()
		}
		if m.Nth != 0 {
			s += "#" + strconv.Itoa(m.Nth)
		}
	}
	if m.Delay != 0 {
		s += "=" + m.Delay.String()
	}
	return s
}

// faults decides for each command whether it fails.
type faults struct {
	list  []Misbehavior
	total int
	seen  map[Opcode]int
	dead  bool
}

func newFaults(list []Misbehavior) *faults {
	return &faults{list: list, seen: make(map[Opcode]int)}
}

// count counts a command. It must be called once for each, before active.
func (f *faults) count(op Opcode) {
	f.total++
	f.seen[op]++
}

// active returns the misbehavior of this kind that applies to the command just
// counted.
func (f *faults) active(k Kind, op Opcode) (Misbehavior, bool) {
	if k == Silent && f.dead {
		return Misbehavior{Kind: Silent}, true
	}
	for _, m := range f.list {
		if m.Kind != k || m.Command != 0 && m.Command != op {
			continue
		}
		n := f.total
		if m.Command != 0 {
			n = f.seen[op]
		}
		if n >= max(m.Nth, 1) {
			f.dead = f.dead || k == Silent
			return m, true
		}
	}
	return Misbehavior{}, false
}

// has reports whether a state such as SecureBoot is configured.
func (f *faults) has(k Kind) bool {
	for _, m := range f.list {
		if m.Kind == k {
			return true
		}
	}
	return false
}
