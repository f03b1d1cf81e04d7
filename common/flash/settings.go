package flash

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/farforge/farforge/common/flash/chips"
)

// settings are the flash settings of a bootloader's header. Empty fields and "keep" leave
// the header unchanged.
type settings struct{ mode, freq, size string }

func kept(s string) string {
	if s == "keep" {
		return ""
	}
	return strings.ToLower(s)
}

// patch puts the settings into the header of the bootloader b, in place, and recomputes
// its SHA-256 if it has one. It returns a note for the user if it could not apply a
// setting.
func patch(b []byte, im image, chip *chips.Chip, s settings, detected int64) (note string, err error) {
	mode, sizeFreq := b[imageModeAt], b[imageSizeFreqAt]
	if v := kept(s.mode); v != "" {
		if mode, err = modeByte(v); err != nil {
			return "", err
		}
	}
	if v := kept(s.freq); v != "" {
		f, ok := chip.Frequencies[v]
		if !ok {
			return "", settingError("frequency", s.freq, chip)
		}
		sizeFreq = sizeFreq&0xF0 | f
	}
	if v := kept(s.size); v == "detect" && detected == 0 {
		note = "the flash does not report its size; the bootloader's header keeps its size"
	} else if v != "" {
		n, ok := sizeNibble(v, detected)
		if !ok {
			return "", settingError("size", s.size, chip)
		}
		sizeFreq = sizeFreq&0x0F | n<<4
	}
	if mode == b[imageModeAt] && sizeFreq == b[imageSizeFreqAt] {
		return note, nil
	}
	b[imageModeAt], b[imageSizeFreqAt] = mode, sizeFreq
	if im.hash != 0 {
		sum := sha256.Sum256(b[:im.hash])
		copy(b[im.hash:], sum[:])
	}
	return note, nil
}

// imageFlashSize returns the flash size in the header of an image, in bytes, or zero if
// the value is undefined.
func imageFlashSize(b []byte) int64 {
	if n := b[imageSizeFreqAt] >> 4; n <= 7 {
		return 1 << 20 << n
	}
	return 0
}

func settingError(what, value string, chip *chips.Chip) error {
	return &Error{Kind: KindFirmware, Msg: fmt.Sprintf("%q is not a flash %s of the %s", value, what, chip.Name),
		Hint: "correct the flash settings of the build, or use keep"}
}

// flashModes are the flash modes in the order of their values in a header.
var flashModes = [...]string{"qio", "qout", "dio", "dout"}

func modeByte(mode string) (byte, error) {
	for i, m := range flashModes {
		if m == mode {
			return byte(i), nil
		}
	}
	return 0, &Error{Kind: KindFirmware, Msg: fmt.Sprintf("%q is not a flash mode", mode), Hint: "use qio, qout, dio, dout or keep"}
}

// sizeNibble returns the logarithm of the size in MiB.
func sizeNibble(size string, detected int64) (byte, bool) {
	for n := byte(0); n <= 7; n++ {
		mib := int64(1) << n
		if size == fmt.Sprintf("%dmb", mib) || size == "detect" && detected == mib<<20 {
			return n, true
		}
	}
	return 0, false
}
