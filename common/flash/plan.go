package flash

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/farforge/farforge/common/flash/chips"
	"github.com/farforge/farforge/common/flashmap"
)

// region is one image, ready to be written.
type region struct {
	name   string // for messages
	path   string
	offset uint32
	data   []byte // padded to whole words
	md5    [md5.Size]byte
	note   string
	// declared is the flash size in a bootloader's header, or zero.
	declared int64
}

// maxFlash is the largest flash that the ROM's three address bytes reach.
const maxFlash = 16 << 20

// plan reads all images and makes all checks that can be made before the first byte is
// written. Errors are of KindFirmware.
func plan(m *flashmap.Map, files fs.FS, chip *chips.Chip, info Info, o WriteOptions) ([]region, error) {
	if err := m.Validate(); err != nil {
		return nil, firmwareError("the flash map cannot be used", err, "correct the flash map")
	}
	if c := chips.Normal(m.Chip); c != "" && c != chip.Name {
		return nil, otherChip(c, chip)
	}
	size := info.FlashSize
	if size == 0 {
		size = maxFlash
	}
	var regions []region
	for i, im := range m.Images {
		r, err := load(im, files, size)
		if err != nil {
			return nil, err
		}
		end := int64(im.Offset) + int64(len(r.data))
		if end > maxFlash && end <= size {
			return nil, firmwareError(fmt.Sprintf("%s ends at 0x%x, but the ROM writes the first %s of a flash only", r.name, end, mib(maxFlash)), nil,
				"flash it with Espressif's esptool, which loads a stub")
		}
		if end > size {
			return nil, firmwareError(fmt.Sprintf("%s does not fit: it ends at 0x%x, but the board's flash has %s", r.name, end, mib(size)), nil,
				"build for the board's flash size, or use a board with more flash")
		}
		if i > 0 {
			prev := regions[i-1]
			if prev.offset+uint32(len(prev.data)) > im.Offset {
				return nil, firmwareError(fmt.Sprintf("%s (%d bytes) reaches into %s", prev.name, len(prev.data), r.name), nil,
					"correct the offsets or make the first one smaller")
			}
		}
		if im.Encrypted {
			return nil, &Error{Kind: KindSecurity, Msg: "the board would have to encrypt " + r.name + ", which is not supported",
				Hint: "flash it with Espressif's esptool"}
		}
		if err := check(&r, im, chip, info, m, o); err != nil {
			return nil, err
		}
		r.md5 = md5.Sum(r.data)
		regions = append(regions, r)
	}
	for _, r := range regions {
		if r.declared > size && info.FlashSize != 0 && !o.Force {
			return nil, firmwareError(fmt.Sprintf("the header of %s says that the flash has %s, but the board's has %s", r.name, mib(r.declared), mib(size)), nil,
				"build for the board's flash size, or correct the header with --flash-size detect")
		}
	}
	return regions, nil
}

// load reads one image of at most the given size.
func load(im flashmap.Image, files fs.FS, most int64) (region, error) {
	r := region{name: regionName(im), path: im.Path, offset: im.Offset}
	st, err := fs.Stat(files, im.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, firmwareError("the file for "+r.name+" is missing: "+im.Path, nil, "build again, and check that the build makes this file")
	case err != nil:
		return r, firmwareError("the file for "+r.name+" cannot be read", err, "")
	case !st.Mode().IsRegular():
		return r, firmwareError(fmt.Sprintf("%s for %s is not a file", im.Path, r.name), nil, "")
	case st.Size() == 0:
		return r, firmwareError("the file for "+r.name+" is empty: "+im.Path, nil, "build again")
	case st.Size() > most:
		return r, firmwareError(fmt.Sprintf("%s does not fit: it has %s, the board's flash %s", r.name, mib(st.Size()), mib(most)), nil,
			"build for the board's flash size, or use a board with more flash")
	}
	if r.data, err = fs.ReadFile(files, im.Path); err != nil {
		return r, firmwareError("the file for "+r.name+" cannot be read", err, "")
	}
	for len(r.data)%4 != 0 {
		r.data = append(r.data, 0xFF)
	}
	return r, nil
}

// check checks a region that has a firmware image. At the bootloader's offset a file
// with the magic byte of an image must be a valid image. Elsewhere, where a file may have
// any contents, only valid images are checked.
func check(r *region, im flashmap.Image, chip *chips.Chip, info Info, m *flashmap.Map, o WriteOptions) error {
	boot := im.Offset == chip.BootloaderOffset
	program := boot || im.Name == "bootloader" || im.Name == "app"
	if what, hint := foreign(r.data, program); what != "" && !o.Force {
		return firmwareError(fmt.Sprintf("%s is %s, which no chip can run from its flash", r.name, what), nil, hint)
	}
	img, err := parseImage(r.data)
	switch {
	case errors.Is(err, errNoImage):
		return nil
	case err != nil && boot && !o.Force:
		return firmwareError(r.name+" is damaged", err, "build or fetch it again")
	case err != nil:
		return nil
	}
	if !o.Force {
		if err := fits(r, img, chip, info); err != nil {
			return err
		}
	}
	if !boot {
		return nil
	}
	r.note, err = patch(r.data, img, chip, settings{cmp.Or(o.Mode, m.Mode), cmp.Or(o.Freq, m.Freq), cmp.Or(o.Size, m.Size)}, info.FlashSize)
	r.declared = imageFlashSize(r.data)
	return err
}

// fits compares an image's header with the chip.
func fits(r *region, img image, chip *chips.Chip, info Info) error {
	if img.chip != chip.ImageID {
		return otherChip(chips.NameOfImageID(img.chip), chip)
	}
	rev := info.Revision
	if img.minRev > rev.Number() {
		return firmwareError(fmt.Sprintf("%s needs a chip of revision v%d.%d or later, the board's is %s", r.name, img.minRev/100, img.minRev%100, rev), nil,
			"build for the older revision")
	}
	if img.maxRev != 0 && img.maxRev < rev.Number() {
		return firmwareError(fmt.Sprintf("%s is for chips up to revision v%d.%d, the board's is %s", r.name, img.maxRev/100, img.maxRev%100, rev), nil,
			"build for the newer revision")
	}
	return nil
}

// foreign recognizes a file of another kind in place of an image, and returns the kind
// and a hint. It reports text only in place of a program, as a data partition may hold
// text.
func foreign(b []byte, program bool) (what, hint string) {
	switch {
	case bytes.HasPrefix(b, []byte("\x7fELF")):
		return "an ELF file", "flash the .bin that the build makes of it"
	case bytes.HasPrefix(b, []byte("UF2\n")):
		return "a UF2 file", "flash the .bin files that it was made of"
	case intelHex(b):
		return "an Intel HEX file", "convert it to a .bin first"
	case program && printable(b[:min(len(b), 4096)]):
		return "text", "check the offset and the file"
	}
	return "", ""
}

// intelHex reports whether b begins with a record of an Intel HEX file.
func intelHex(b []byte) bool {
	line, _, found := bytes.Cut(b[:min(len(b), 600)], []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if !found || len(line) < 11 || line[0] != ':' || len(line)%2 != 1 {
		return false
	}
	_, err := hex.DecodeString(string(line[1:]))
	return err == nil
}

func otherChip(firmware string, chip *chips.Chip) error {
	return firmwareError(fmt.Sprintf("this firmware is for %s, the board is %s", firmware, chip.Name), nil,
		"build for "+chip.Name+", or connect the other board")
}

func firmwareError(msg string, err error, hint string) error {
	return &Error{Kind: KindFirmware, Msg: msg, Err: err, Hint: hint}
}

// regionName is the name of an image in messages.
func regionName(im flashmap.Image) string {
	if im.Name == "" {
		return fmt.Sprintf("%s at 0x%x", im.Path, im.Offset)
	}
	return fmt.Sprintf("%s at 0x%x", im.Name, im.Offset)
}

// mib formats a size in a suitable unit.
func mib(n int64) string {
	switch {
	case n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
