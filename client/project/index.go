package project

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
)

// maxIndex bounds a git index, in bytes: that of a million files.
const maxIndex = 256 << 20

// index is the set of paths that git tracks in a repository.
type index struct {
	files   map[string]bool // files and symlinks
	modules map[string]bool // submodules
	folders map[string]bool // folders above all of them
}

// errIndex is wrapped by the errors for an index that cannot be read.
var errIndex = errors.New("read the git index")

// parseIndex reads an index of version 2, 3 or 4 (gitformat-index(5)). hash is the
// size of the repository's object names. An index that is split among files, and one
// with folders in place of files, is an error.
func parseIndex(data []byte, hash int) (*index, error) {
	fail := func(what string) (*index, error) { return nil, fmt.Errorf("%w: %s", errIndex, what) }
	if len(data) < 12+hash || string(data[:4]) != "DIRC" {
		return fail("it does not begin like one")
	}
	version, count := binary.BigEndian.Uint32(data[4:]), int(binary.BigEndian.Uint32(data[8:]))
	if version < 2 || version > 4 {
		return fail(fmt.Sprintf("it is of version %d", version))
	}
	x := &index{files: map[string]bool{}, modules: map[string]bool{}, folders: map[string]bool{}}
	rest := data[12 : len(data)-hash]
	var name []byte
	for range count {
		fixed := 40 + hash + 2
		if len(rest) < fixed {
			return fail("it ends within an entry")
		}
		mode, flags := binary.BigEndian.Uint32(rest[24:]), binary.BigEndian.Uint16(rest[40+hash:])
		if flags&0x4000 != 0 && version >= 3 {
			fixed += 2
		}
		if len(rest) < fixed {
			return fail("it ends within an entry")
		}
		at := rest[fixed:]
		if version == 4 {
			cut, n := prefixLength(at)
			if n == 0 || cut > len(name) {
				return fail("it has a damaged name")
			}
			name, at = name[:len(name)-cut], at[n:]
		} else {
			name = nil
		}
		end := bytes.IndexByte(at, 0)
		if end < 0 {
			return fail("it ends within a name")
		}
		name = append(name[:len(name):len(name)], at[:end]...)
		size := len(rest) - len(at) + end + 1
		if version < 4 { // padded to eight bytes
			size = (size + 7) &^ 7
		}
		if size > len(rest) {
			return fail("it ends within an entry")
		}
		rest = rest[size:]
		if err := x.add(string(name), mode); err != nil {
			return nil, err
		}
	}
	return x, extensions(rest)
}

// add notes an entry.
func (x *index) add(name string, mode uint32) error {
	switch mode >> 12 {
	case 0o04:
		return fmt.Errorf("%w: it is sparse", errIndex)
	case 0o16:
		x.modules[name] = true
	default:
		x.files[name] = true
	}
	for dir := path.Dir(name); dir != "." && dir != "/" && !x.folders[dir]; dir = path.Dir(dir) {
		x.folders[dir] = true
	}
	return nil
}

// extensions refuses an index that others complete.
func extensions(rest []byte) error {
	for len(rest) >= 8 {
		if string(rest[:4]) == "link" {
			return fmt.Errorf("%w: it is split", errIndex)
		}
		size := int(binary.BigEndian.Uint32(rest[4:]))
		if size > len(rest)-8 {
			return fmt.Errorf("%w: it ends within an extension", errIndex)
		}
		rest = rest[8+size:]
	}
	return nil
}

// prefixLength reads the number of bytes that a name of version 4 does not share with
// the former one. n is 0 for a damaged number.
func prefixLength(b []byte) (value, n int) {
	for n < len(b) && n < 5 {
		c := b[n]
		n++
		value = value<<7 | int(c&0x7f)
		if c&0x80 == 0 {
			return value, n
		}
		value++
	}
	return 0, 0
}
