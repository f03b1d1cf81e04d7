package simulator

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseMisbehavior(t *testing.T) {
	for in, want := range map[string]Misbehavior{
		"silent":                {Kind: Silent},
		"SILENT@flash_data":     {Kind: Silent, Command: FlashData},
		"silent@FLASH_DATA#3":   {Kind: Silent, Command: FlashData, Nth: 3},
		"garbage@#12":           {Kind: Garbage, Nth: 12},
		"half@0xd2":             {Kind: Half, Command: ReadFlash},
		"slow@READ_REG=500ms":   {Kind: Slow, Command: ReadReg, Delay: 500 * time.Millisecond},
		"slow=1s":               {Kind: Slow, Delay: time.Second},
		"corrupt":               {Kind: Corrupt},
		"secure-boot":           {Kind: SecureBoot},
		"secure-download":       {Kind: SecureDownload},
		"flash-encryption":      {Kind: FlashEncryption},
		"half@SPI_FLASH_MD5#10": {Kind: Half, Command: SPIFlashMD5, Nth: 10},
	} {
		got, err := ParseMisbehavior(in)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", in, got, err, want)
		}
		if again, err := ParseMisbehavior(got.String()); err != nil || again != got {
			t.Errorf("%q prints as %q, which reads as %+v, %v", in, got, again, err)
		}
	}
	for in, complaint := range map[string]string{
		"":                 "no misbehavior is called",
		"loud":             "no misbehavior is called",
		"silent@":          "nothing follows the @",
		"silent@FLASH":     "no command is called",
		"silent@SYNC#0":    "not a number from 1",
		"silent@SYNC#x":    "not a number from 1",
		"silent=5s":        "takes no delay",
		"slow":             "needs a delay",
		"slow=soon":        "invalid duration",
		"slow=-1s":         "needs a delay",
		"corrupt@SYNC":     "cannot be tied to a command",
		"secure-boot@#2":   "cannot be tied to a command",
		"silent@FLASH_END": "",
	} {
		_, err := ParseMisbehavior(in)
		if complaint == "" && err != nil || complaint != "" && (err == nil || !strings.Contains(err.Error(), complaint)) {
			t.Errorf("%q: %v, want %q", in, err, complaint)
		}
	}
}

// quiet reports whether nothing arrives for a long time, in a synctest bubble.
func (h *host) quiet() bool {
	h.port.SetReadTimeout(time.Hour)
	n, err := h.port.Read(make([]byte, 1))
	return n == 0 && err == nil && len(h.held) == 0
}

func TestSilence(t *testing.T) {
	for _, tt := range []struct {
		name     string
		m        Misbehavior
		answered int // READ_REGs that get an answer
	}{
		{"from the start", Misbehavior{Kind: Silent}, 0},
		{"from the third command", Misbehavior{Kind: Silent, Nth: 3}, 2},
		{"from the fourth READ_REG", Misbehavior{Kind: Silent, Command: ReadReg, Nth: 4}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, h := rom(t, Config{Chip: "esp32", Misbehave: []Misbehavior{tt.m}})
				for range tt.answered {
					h.read(0x40001000)
				}
				h.send(ReadReg, 0, words(0x40001000))
				if !h.quiet() {
					t.Error("the chip still answers")
				}
				h.port.SetReadTimeout(10 * time.Second)
				h.enterDownload()
				h.send(Sync, 0, syncData)
				if !h.quiet() {
					t.Error("a reset brought the chip back")
				}
				h.port.Close()
			})
		})
	}
}

func TestSlowReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := rom(t, Config{Chip: "esp32", Misbehave: []Misbehavior{{Kind: Slow, Command: ReadReg, Delay: 3 * time.Second}}})
		began := time.Now()
		h.want(SPIAttach, words(0, 0), 0, ok)
		if late := time.Since(began); late != 0 {
			t.Errorf("SPI_ATTACH took %v", late)
		}
		h.read(0x40001000)
		if late := time.Since(began); late != 3*time.Second {
			t.Errorf("READ_REG took %v, want 3s", late)
		}
		// A host may write more commands before the answer; the chip answers in order.
		began = time.Now()
		for range 3 {
			h.send(ReadReg, 0, words(0x40001000))
		}
		if late := time.Since(began); late != 0 {
			t.Errorf("writing to a busy chip took %v", late)
		}
		for range 3 {
			h.reply()
		}
		if late := time.Since(began); late != 9*time.Second {
			t.Errorf("three slow replies took %v, want 9s", late)
		}
		h.port.Close()
	})
}

func TestGarbageAndHalfReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := slipEncode([]byte{1, byte(ReadReg), 4, 0, 0x83, 0x1D, 0xF0, 0, 0, 5, 0x37, 0x39})
		for kind, check := range map[Kind]func([]byte) bool{
			Garbage: func(p []byte) bool { return len(p) == len(want) && !bytes.Contains(p, []byte{slipEnd}) },
			Half:    func(p []byte) bool { return bytes.Equal(p, want[:len(want)/2]) },
		} {
			_, h := rom(t, Config{Chip: "esp32", Misbehave: []Misbehavior{{Kind: kind}}})
			h.send(ReadReg, 0, words(0x40001000))
			synctest.Wait()
			if p := h.more(); !check(p) || !h.quiet() {
				t.Errorf("%s: % x", kind, p)
			}
			h.port.Close()
		}
	})
}

func TestCorruptWritesShowInTheMD5Only(t *testing.T) {
	_, h := rom(t, Config{Chip: "esp32", Misbehave: []Misbehavior{{Kind: Corrupt}}})
	h.want(SPIAttach, words(0, 0), 0, ok)
	h.want(FlashBegin, words(0x400, 1, 0x400, 0), 0, ok)
	before := h.ask(SPIFlashMD5, words(0, 0x400, 0, 0))
	h.wantData(FlashData, 0, bytes.Repeat([]byte{0xFF}, 0x400), ok)
	after := h.ask(SPIFlashMD5, words(0, 0x400, 0, 0))
	if bytes.Equal(before.data, after.data) {
		t.Error("writing 0xFF over an erased block changed nothing although writes corrupt")
	}
}

func TestConfigRefusesWrongValues(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg       Config
		complaint string
	}{
		"no chip":             {Config{}, "no chip was named"},
		"another chip":        {Config{Chip: "esp9999"}, "does not know \"esp9999\""},
		"odd flash size":      {Config{Chip: "esp32", FlashSize: 3 << 20}, "power of two"},
		"contents too large":  {Config{Chip: "esp32", FlashSize: 256 << 10, Flash: make([]byte, 300<<10)}, "only 262144"},
		"short MAC":           {Config{Chip: "esp32", MAC: []byte{1, 2}}, "6 bytes"},
		"no secure download":  {Config{Chip: "esp32", Misbehave: []Misbehavior{{Kind: SecureDownload}}}, "no secure download"},
		"unknown misbehavior": {Config{Chip: "esp32", Misbehave: []Misbehavior{{Kind: "loud"}}}, "no misbehavior"},
	} {
		if _, err := New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.complaint) {
			t.Errorf("%s: %v, want %q", name, err, tt.complaint)
		}
	}
}
