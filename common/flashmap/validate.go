package flashmap

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/farforge/farforge/common/lexical"
)

// The members of the file that are not the name of an image.
const (
	keyArgs     = "write_flash_args"
	keySettings = "flash_settings"
	keyFiles    = "flash_files"
	keyExtra    = "extra_esptool_args"
)

var reserved = []string{keyArgs, keySettings, keyFiles, keyExtra}

// isWord reports whether a setting is free of blanks, quotes and control characters, and
// so is safe in messages and command lines.
func isWord(s string) bool { return lexical.Word(s, "_.-", 64) }

// Validate reports the first thing that makes the map unfit for flashing or for writing
// to a file: no images, unsorted or doubled offsets, a path that leaves the map's folder,
// a doubled or reserved name. It does not read the files; the flasher checks that they do
// not overlap.
func (m *Map) Validate() error {
	for _, s := range []struct{ what, value string }{
		{"chip", m.Chip}, {"flash mode", m.Mode}, {"flash frequency", m.Freq},
		{"flash size", m.Size}, {"before", m.Before}, {"after", m.After},
	} {
		if s.value != "" && !isWord(s.value) {
			return fmt.Errorf("%q is not a valid %s", s.value, s.what)
		}
	}
	if len(m.Images) == 0 {
		return errors.New("there is no image to flash")
	}
	if len(m.Images) > MaxImages {
		return fmt.Errorf("%d images, at most %d are allowed", len(m.Images), MaxImages)
	}
	names := map[string]bool{}
	for i, im := range m.Images {
		if err := im.validate(); err != nil {
			return fmt.Errorf("image at 0x%x: %w", im.Offset, err)
		}
		if i > 0 && m.Images[i-1].Offset == im.Offset {
			return fmt.Errorf("two images at offset 0x%x: %q and %q", im.Offset, m.Images[i-1].Path, im.Path)
		}
		if i > 0 && m.Images[i-1].Offset > im.Offset {
			return fmt.Errorf("image at 0x%x: images must be sorted by offset", im.Offset)
		}
		if im.Name != "" && names[im.Name] {
			return fmt.Errorf("image at 0x%x: two images are called %q", im.Offset, im.Name)
		}
		names[im.Name] = true
	}
	return nil
}

func (im Image) validate() error {
	if im.Offset%SectorSize != 0 {
		return fmt.Errorf("the offset is not a multiple of %d, the smallest piece of flash that can be erased", SectorSize)
	}
	if im.Name != "" && (!validName(im.Name) || slices.Contains(reserved, im.Name)) {
		return fmt.Errorf("%q cannot be the name of an image", im.Name)
	}
	if im.Name == "" && im.Encrypted {
		return errors.New("an image to encrypt needs a name, under which the file marks the encryption")
	}
	return validatePath(im.Path)
}

// validName allows the usual names of partitions: "user data", "_certs". Names appear in
// messages, so they must be short and printable.
func validName(s string) bool {
	return len(s) <= 64 && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// validatePath allows paths that name the same file below the map's folder on every
// system: no backslash, no colon (drive letters, NTFS streams), no dots that climb.
func validatePath(p string) error {
	if !fs.ValidPath(p) || p == "." {
		return fmt.Errorf("%q is not a plain path below the folder of %s", p, FileName)
	}
	if strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == ':' }) {
		return fmt.Errorf("%q has a character that a path in %s may not have", p, FileName)
	}
	return nil
}

// Sort puts the images in the order of their offsets.
func (m *Map) Sort() {
	slices.SortStableFunc(m.Images, func(a, b Image) int {
		switch {
		case a.Offset < b.Offset:
			return -1
		case a.Offset > b.Offset:
			return 1
		}
		return 0
	})
}
