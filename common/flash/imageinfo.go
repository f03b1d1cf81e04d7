package flash

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"strings"
	"unicode"

	"github.com/farforge/farforge/common/flash/chips"
	"github.com/farforge/farforge/common/flashmap"
)

// ImageInfo describes a firmware image.
type ImageInfo struct {
	Chip             string // "esp32c3"
	MinRev, MaxRev   chips.Revision
	Entry            uint32
	Mode, Freq, Size string // flash settings, or "unknown"
	Segments         []Segment
	Length           int  // bytes, with the check values
	Hashed           bool // it has a SHA-256, which matches
	App              *AppInfo
}

// Segment is a part of an image and its address.
type Segment struct {
	Address uint32
	Size    int
}

// AppInfo is the description that ESP-IDF puts into an app.
type AppInfo struct{ Name, Version, IDF, Built string }

// DescribeImage reads a firmware image and checks it as a ROM does. Errors are of
// KindFirmware.
func DescribeImage(b []byte) (*ImageInfo, error) {
	im, err := parseImage(b)
	if err != nil {
		return nil, firmwareError("this is not an image that a chip can start", err, "give the .bin of a bootloader or an app")
	}
	chip, known := chips.ByImageID(im.chip)
	out := &ImageInfo{
		Chip: chips.NameOfImageID(im.chip), Entry: binary.LittleEndian.Uint32(b[4:]), Hashed: im.hash != 0,
		MinRev: revision(im.minRev), MaxRev: revision(im.maxRev), Mode: "unknown", Freq: "unknown", Size: "unknown",
	}
	if mode := int(b[imageModeAt]); mode < len(flashModes) {
		out.Mode = flashModes[mode]
	}
	if size := imageFlashSize(b); size != 0 {
		out.Size = mib(size)
	}
	for name, value := range frequencies(chip, known) {
		if value == b[imageSizeFreqAt]&0xF && (out.Freq == "unknown" || name > out.Freq) {
			out.Freq = name
		}
	}
	at := imageHeader
	for range int(b[imageSegmentsAt]) {
		s := Segment{binary.LittleEndian.Uint32(b[at:]), int(binary.LittleEndian.Uint32(b[at+4:]))}
		out.Segments = append(out.Segments, s)
		at += 8 + s.Size
	}
	out.Length = at | 15 + 1
	if im.hash != 0 {
		out.Length = im.hash + 32
	}
	out.App = appInfo(b[imageHeader+8:])
	return out, nil
}

func frequencies(chip *chips.Chip, known bool) map[string]byte {
	if !known {
		return nil
	}
	return chip.Frequencies
}

func revision(number int) chips.Revision {
	return chips.Revision{Major: number / 100, Minor: number % 100}
}

// appInfo reads the description at the beginning of the first segment, as the structure
// esp_app_desc_t of ESP-IDF's "App Image Format" lays it out. Nil means that there is
// none.
func appInfo(b []byte) *AppInfo {
	const magic, size = 0xABCD5432, 144
	if len(b) < size || binary.LittleEndian.Uint32(b) != magic {
		return nil
	}
	text := func(at, n int) string {
		s, _, _ := bytes.Cut(b[at:at+n], []byte{0})
		return strings.Map(func(r rune) rune {
			if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
				return '?'
			}
			return r
		}, string(s))
	}
	return &AppInfo{Version: text(16, 32), Name: text(48, 32), Built: strings.TrimSpace(text(96, 16) + " " + text(80, 16)), IDF: text(112, 32)}
}

// Merge puts the images of a map into one image for the address start, with FF between
// them. They must not overlap, and none may lie before start.
func Merge(m *flashmap.Map, files fs.FS, start uint32) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, firmwareError("the flash map cannot be used", err, "correct the flash map")
	}
	var out []byte
	for _, im := range m.Images {
		r, err := load(im, files, maxFlash)
		if err != nil {
			return nil, err
		}
		if im.Offset < start {
			return nil, firmwareError(fmt.Sprintf("%s lies before 0x%x, where the merged image starts", r.name, start), nil, "use a lower start")
		}
		at := int(im.Offset - start)
		if at < len(out) {
			return nil, firmwareError(fmt.Sprintf("%s overlaps the image before it", r.name), nil, "correct the offsets")
		}
		if at+len(r.data) > maxFlash {
			return nil, firmwareError(fmt.Sprintf("%s ends beyond %s", r.name, mib(maxFlash)), nil, "correct the offsets")
		}
		out = append(out, bytes.Repeat([]byte{0xFF}, at-len(out))...)
		out = append(out, r.data...)
	}
	return out, nil
}
