package flash

import (
	"crypto/md5"
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
}

// maxFlash bounds an image when the flash does not tell its size: the largest
// that the ROM's three address bytes reach.
const maxFlash = 16 << 20

// plan reads all images and checks whatever can be checked before the first
// byte is written. Errors are of KindFirmware.
func plan(m *flashmap.Map, files fs.FS, chip *chips.Chip, info Info, o WriteOptions) ([]region, error) {
	if err := m.Validate(); err != nil {
		return nil, firmwareError("the flash map cannot be used", err, "")
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
		if end := int64(im.Offset) + int64(len(r.data)); end > size {
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
			return nil, &Error{Kind: KindSecurity, Msg: "the build wants " + r.name + " to be encrypted by the board, which this flasher cannot do",
				Hint: "flash it with Espressif's esptool"}
		}
		if err := check(&r, im, chip, info, m, o); err != nil {
			return nil, err
		}
		r.md5 = md5.Sum(r.data)
		regions = append(regions, r)
	}
	return regions, nil
}

// load reads one image, of which no more than the flash could hold.
func load(im flashmap.Image, files fs.FS, most int64) (region, error) {
	r := region{name: regionName(im), path: im.Path, offset: im.Offset}
	st, err := fs.Stat(files, im.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, firmwareError("the file for "+r.name+" is missing: "+im.Path, nil, "build again, and see that the build brings this file")
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

// check looks into firmware images. At the bootloader's place one that begins
// like an image has to be one; elsewhere, where anything may lie, only what is
// an image through and through is judged.
func check(r *region, im flashmap.Image, chip *chips.Chip, info Info, m *flashmap.Map, o WriteOptions) error {
	img, err := parseImage(r.data)
	boot := im.Offset == chip.BootloaderOffset
	switch {
	case errors.Is(err, errNoImage):
		return nil
	case err != nil && boot && !o.Force:
		return firmwareError(r.name+" is damaged", err, "build or fetch it again")
	case err != nil:
		return nil
	}
	if !o.Force {
		if img.chip != chip.ImageID {
			return otherChip(chips.NameOfImageID(img.chip), chip)
		}
		if rev := info.Revision; img.minRev > rev.Number() {
			return firmwareError(fmt.Sprintf("%s needs a chip of revision v%d.%d or later, the board's is %s", r.name, img.minRev/100, img.minRev%100, rev), nil,
				"build for the older revision")
		}
	}
	if !boot {
		return nil
	}
	r.note, err = patch(r.data, img, chip, settings{m.Mode, m.Freq, m.Size}, info.FlashSize, o.Rehash)
	return err
}

func otherChip(firmware string, chip *chips.Chip) error {
	return firmwareError(fmt.Sprintf("this firmware is for %s, the board is %s", firmware, chip.Name), nil,
		"build for "+chip.Name+", or connect the other board")
}

func firmwareError(msg string, err error, hint string) error {
	return &Error{Kind: KindFirmware, Msg: msg, Err: err, Hint: hint}
}

// regionName is how messages call an image.
func regionName(im flashmap.Image) string {
	if im.Name == "" {
		return fmt.Sprintf("%s at 0x%x", im.Path, im.Offset)
	}
	return fmt.Sprintf("%s at 0x%x", im.Name, im.Offset)
}

// mib writes a size in the unit that suits it.
func mib(n int64) string {
	switch {
	case n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
