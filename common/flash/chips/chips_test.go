package chips

import (
	"context"
	"errors"
	"testing"
)

// memory is a chip's registers; all that are not set read as zero.
type memory map[uint32]uint32

func (m memory) ReadReg(_ context.Context, addr uint32) (uint32, error) { return m[addr], nil }
func (m memory) WriteReg(_ context.Context, addr, value uint32) error {
	m[addr] = value
	return nil
}

// broken fails at the nth access.
type broken struct{ n int }

var errBroken = errors.New("broken")

func (b *broken) access() error {
	if b.n--; b.n < 0 {
		return errBroken
	}
	return nil
}
func (b *broken) ReadReg(context.Context, uint32) (uint32, error) { return c3PortUSB, b.access() }
func (b *broken) WriteReg(context.Context, uint32, uint32) error  { return b.access() }

func TestLookUp(t *testing.T) {
	for name, want := range map[string]string{"esp32c3": "esp32c3", "ESP32-C3": "esp32c3", "esp32_c3": "esp32c3", "ESP32": "esp32"} {
		if c, ok := ByName(name); !ok || c.Name != want {
			t.Errorf("%s: %v", name, c)
		}
	}
	for _, c := range All() {
		if c.ImageID == NoImageID {
			continue
		}
		if got, ok := ByImageID(c.ImageID); !ok || got.Name != c.Name || NameOfImageID(c.ImageID) != c.Name {
			t.Errorf("%s is not found by its id", c.Name)
		}
		for _, m := range c.Magic {
			if got, ok := ByMagic(m); !ok || got.Name != c.Name {
				t.Errorf("%s is not found by 0x%08x", c.Name, m)
			}
		}
	}
	if _, ok := ByImageID(NoImageID); ok {
		t.Error("a chip was found by the id that means none")
	}
	if _, ok := ByName("esp9999"); ok {
		t.Error("an ESP9999 was found")
	}
}

func TestCanonical(t *testing.T) {
	for name, want := range map[string]string{
		"ESP32-C3": "esp32c3", "esp32_c3": "esp32c3", "ESP32": "esp32", "esp32-s3": "esp32s3",
		"linux-x86": "linux-x86", "ATmega328P": "ATmega328P", "": "",
	} {
		if got := Canonical(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestESP32Revision(t *testing.T) {
	for bits, want := range map[uint32]string{0: "v0.1", 1: "v1.1", 3: "v2.1", 7: "v3.1", 5: "v0.1"} {
		r := memory{esp32Efuse + 12: bits & 1 << 15, esp32Efuse + 20: bits>>1&1<<20 | 1<<24, esp32APBDate: bits >> 2 & 1 << 31}
		if got, err := esp32Revision(t.Context(), r); err != nil || got.String() != want {
			t.Errorf("bits %03b: %s, %v, want %s", bits, got, err, want)
		}
	}
}

func TestESP32Security(t *testing.T) {
	for _, tc := range []struct {
		word0, word6 uint32
		want         Security
	}{
		{0, 0, Security{}},
		{1 << 20, 0, Security{FlashEncryption: true}},
		{3 << 20, 0, Security{}}, // an even number of bits: switched off again
		{7 << 20, 0, Security{FlashEncryption: true}},
		{1 << 27, 0, Security{}}, // beyond the counter
		{0, 1 << 4, Security{SecureBoot: true}},
		{0, 1 << 5, Security{SecureBoot: true}},
		{0, 1 << 6, Security{}},
	} {
		got, err := esp32Security(t.Context(), memory{esp32Efuse: tc.word0, esp32Efuse + 24: tc.word6})
		if err != nil || got != tc.want {
			t.Errorf("%08x %08x: %+v, %v", tc.word0, tc.word6, got, err)
		}
	}
}

func TestESP32BaudWord(t *testing.T) {
	// calibration × 15625 × oscillator ÷ 40 is the clock the ROM believes in.
	for _, tc := range []struct{ cali, osc, want uint32 }{
		{800, 128, 460800}, // 40 MHz, as it is
		{840, 128, 483840}, // taken for 42 MHz
		{520, 128, 460800}, // 26 MHz crystal
		{0, 0, 460800},     // no measurement
		{4000, 128, 460800},
	} {
		got, err := esp32BaudWord(t.Context(), memory{esp32RTCCali1: tc.cali << 7, esp32Efuse + 16: tc.osc}, 460800, 115200)
		if err != nil || got != tc.want {
			t.Errorf("%d × %d: %d, %v, want %d", tc.cali, tc.osc, got, err, tc.want)
		}
	}
}

func TestC3Words(t *testing.T) {
	r := memory{c3Efuse: 0x04050607, c3Efuse + 4: 0xFFFF0203, c3Efuse + 12: 3 << 18, c3Efuse + 20: 1<<23 | 1<<24}
	c := esp32c3()
	if mac, err := c.MAC(t.Context(), r); err != nil || mac != [6]byte{2, 3, 4, 5, 6, 7} {
		t.Errorf("MAC %x, %v", mac, err)
	}
	if rev, err := c.Revision(t.Context(), r); err != nil || rev != (Revision{1, 11}) || rev.Number() != 111 {
		t.Errorf("revision %v, %v", rev, err)
	}
}

// TestRevisions checks the eFuse words of one revision of each chip.
func TestRevisions(t *testing.T) {
	for _, tc := range []struct {
		chip string
		r    memory
		want string
	}{
		{"esp32s2", memory{s2Efuse + 12: 1<<18 | 1<<20, s2Efuse + 16: 2 << 4}, "v1.10"},
		{"esp32s3", memory{s3Efuse + 20: 1 << 24, s3Efuse + 12: 2 << 18}, "v1.2"},
		{"esp32s3", memory{s3Efuse + 20: 1 << 24, s3Efuse + 12: 1 << 24, s3Efuse + 0x18 + 16: 1}, "v0.0"},
		{"esp32c2", memory{c2Efuse + 4: 1<<20 | 1<<16}, "v1.1"},
		{"esp32c6", memory{c6Efuse + 12: 2 << 18}, "v0.2"},
		{"esp32h2", memory{h2Efuse + 12: 1<<21 | 2<<18}, "v1.2"},
		{"esp32p4", memory{p4Efuse + 8: 3<<4 | 1}, "v3.1"},
		{"esp32p4", memory{p4Efuse + 8: 1 << 23}, "v4.0"},
		{"esp32c61", memory{c61Efuse + 8: 1 << 4}, "v1.0"},
		{"esp32c5", memory{c5Efuse + 8: 1 << 4}, "v1.0"},
		{"esp8266", memory{}, "v0.0"},
	} {
		c, _ := ByName(tc.chip)
		if rev, err := c.Revision(t.Context(), tc.r); err != nil || rev.String() != tc.want {
			t.Errorf("%s: %s, %v, want %s", tc.chip, rev, err, tc.want)
		}
	}
}

func TestMACOfAnESP8266(t *testing.T) {
	for maker, r := range map[[3]byte]memory{
		{0x18, 0xFE, 0x34}: {esp8266OTP: 0xAA << 24, esp8266OTP + 4: 0x00BBCC},
		{0xAC, 0xD0, 0x74}: {esp8266OTP: 0xAA << 24, esp8266OTP + 4: 0x01BBCC},
		{1, 2, 3}:          {esp8266OTP: 0xAA << 24, esp8266OTP + 4: 0xBBCC, esp8266OTP + 12: 0x010203},
	} {
		if mac, err := esp8266().MAC(t.Context(), r); err != nil || mac != [6]byte{maker[0], maker[1], maker[2], 0xBB, 0xCC, 0xAA} {
			t.Errorf("%x: %x, %v", maker, mac, err)
		}
	}
}

// TestBaudWords checks the crystals that the ROMs of two chips mistake for others.
func TestBaudWords(t *testing.T) {
	const conf = 0x60096110
	for _, tc := range []struct {
		chip string
		r    memory
		want uint32
	}{
		{"esp32c2", memory{uartDivider: 40_000_000 / 115200}, 460800},
		{"esp32c2", memory{uartDivider: 26_000_000 / 115200}, 460800 * 40 / 26},
		{"esp32c5", memory{uartDivider: 48_000_000 / 115200, conf: 48 << 24}, 460800},
		{"esp32c5", memory{uartDivider: 48_000_000 / 115200, conf: 40 << 24}, 384000},
		{"esp32c5", memory{uartDivider: 40_000_000 / 115200, conf: 48 << 24}, 552960},
		{"esp32c5", memory{uartDivider: 40_000_000 / 115200}, 460800},
	} {
		c, _ := ByName(tc.chip)
		if got, err := c.BaudWord(t.Context(), tc.r, 460800, 115200); err != nil || got != tc.want {
			t.Errorf("%s with %v: %d, %v, want %d", tc.chip, tc.r, got, err, tc.want)
		}
	}
}

func TestC3WatchdogsOverItsOwnUSB(t *testing.T) {
	for _, tc := range []struct {
		rev Revision
		at  uint32
		off bool
	}{
		{Revision{0, 4}, c3PortInUse, true}, {Revision{0, 4}, c3PortInUseV11, false},
		{Revision{1, 1}, c3PortInUseV11, true}, {Revision{1, 1}, c3PortInUse, false},
	} {
		const wdtConfig, wdtProtect, swdConfig, swdProtect = 0x60008090, 0x600080A8, 0x600080AC, 0x600080B0
		r := memory{tc.at: c3PortUSB, wdtConfig: 0xF, swdConfig: 4}
		if err := esp32c3().Prepare(t.Context(), r, tc.rev); err != nil {
			t.Fatal(err)
		}
		if off := r[wdtConfig] == 0 && r[swdConfig] == 4|1<<31; off != tc.off {
			t.Errorf("revision %s, variable at 0x%x: off is %t", tc.rev, tc.at, off)
		}
		if r[wdtProtect] != 0 || r[swdProtect] != 0 {
			t.Error("the protection was left open")
		}
	}
}

func TestErrorsOfTheRegistersComeThrough(t *testing.T) {
	for _, c := range All() {
		calls := map[string]func(Registers) error{
			"MAC": func(r Registers) error { _, err := c.MAC(t.Context(), r); return err },
		}
		if c.Name != "esp8266" {
			calls["revision"] = func(r Registers) error { _, err := c.Revision(t.Context(), r); return err }
		}
		if c.Watchdog != nil {
			calls["watchdog"] = func(r Registers) error { return c.Watchdog(t.Context(), r) }
		}
		if c.Security != nil {
			calls["security"] = func(r Registers) error { _, err := c.Security(t.Context(), r); return err }
		}
		if c.Prepare != nil {
			calls["prepare"] = func(r Registers) error { return c.Prepare(t.Context(), r, Revision{}) }
		}
		if c.BaudWord != nil {
			calls["baud"] = func(r Registers) error { _, err := c.BaudWord(t.Context(), r, 1, 115200); return err }
		}
		for name, call := range calls {
			n := 0
			for ; n < 20; n++ {
				if err := call(&broken{n}); err == nil {
					break
				} else if !errors.Is(err, errBroken) {
					t.Errorf("%s %s: %v", c.Name, name, err)
				}
			}
			if n == 0 || n == 20 {
				t.Errorf("%s %s: %d accesses", c.Name, name, n)
			}
		}
	}
}
