package simulator

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// goodImage is a valid image of two segments and padding for a chip.
func goodImage(m *model) []byte {
	ram := m.ram[1].start
	return espImage(m.imageChipID, ram+8, true,
		segment{ram, bytes.Repeat([]byte{0x13, 0, 0, 0}, 10)}, segment{0, make([]byte, 12)}, segment{ram + 0x400, []byte("data")})
}

func TestImageCheck(t *testing.T) {
	change := func(at int, v byte) func([]byte) []byte {
		return func(p []byte) []byte { p[at] ^= v; return p }
	}
	for _, tt := range []struct {
		name      string
		change    func([]byte) []byte
		complaint string // empty: the image boots
	}{
		{"valid", change(0, 0), ""},
		{"erased", func(p []byte) []byte { return bytes.Repeat([]byte{0xFF}, len(p)) }, "invalid header: 0xffffffff"},
		{"another magic", change(0, 1), "invalid header: 0x"},
		{"another chip", change(12, 9), "chip id"},
		{"no segments", func(p []byte) []byte { p[1] = 0; return p }, "invalid segment count: 0"},
		{"too many segments", func(p []byte) []byte { p[1] = 17; return p }, "invalid segment count: 17"},
		{"segment in ROM", func(p []byte) []byte { binary.LittleEndian.PutUint32(p[24:], 0x40000000); return p }, "invalid segment address: 0x40000000"},
		{"segment in flash", func(p []byte) []byte { binary.LittleEndian.PutUint32(p[24:], 0x42000020); return p }, "invalid segment address"},
		{"endless segment", func(p []byte) []byte { binary.LittleEndian.PutUint32(p[28:], 0xFFFFFFF0); return p }, "outside the flash"},
		{"bit in a segment", change(40, 4), "Checksum failed"},
		{"bit in the header", change(2, 1), "SHA-256 comparison failed"},
		{"bit in the hash", func(p []byte) []byte { p[len(p)-1] ^= 1; return p }, "SHA-256 comparison failed"},
		{"cut in the hash", func(p []byte) []byte { return p[:len(p)-1] }, "the hash lies outside"},
		{"cut before the checksum", func(p []byte) []byte { return p[:len(p)-33] }, "the checksum lies outside"},
		{"cut in a segment", func(p []byte) []byte { return p[:70] }, "outside the flash"},
		{"cut in the header", func(p []byte) []byte { return p[:20] }, "invalid header"},
	} {
		for _, m := range []*model{esp32c3(), esp32()} {
			t.Run(tt.name+"/"+m.name, func(t *testing.T) {
				flash := append(make([]byte, m.imageOffset), tt.change(goodImage(m))...)
				img, err := m.check(flash)
				switch {
				case tt.complaint == "" && err != nil:
					t.Errorf("a valid image is refused: %v", err)
				case tt.complaint != "" && (err == nil || !strings.Contains(err.Error(), tt.complaint)):
					t.Errorf("error %v, want %q", err, tt.complaint)
				case tt.complaint == "" && (img.entry != m.ram[1].start+8 || len(img.segments) != 3 || !img.hashed):
					t.Errorf("image %+v", img)
				}
			})
		}
	}
}

func TestDirectBootMagicIsTheC3sAlone(t *testing.T) {
	flash := bytes.Repeat([]byte{0xFF}, 0x2000)
	copy(flash, words(directBootMagic, directBootMagic))
	if img, err := esp32c3().check(flash); err != nil || !img.direct || img.entry != 0x42000008 {
		t.Errorf("ESP32-C3: %+v, %v", img, err)
	}
	copy(flash[4:], words(directBootMagic+1))
	if _, err := esp32c3().check(flash); err == nil || err.Error() != "invalid header: 0xaedb041d" {
		t.Errorf("half the magic: %v", err)
	}
	copy(flash[0x1000:], words(directBootMagic, directBootMagic))
	if _, err := esp32().check(flash); err == nil {
		t.Error("an ESP32 took the direct-boot magic")
	}
}
