package channel

import (
	"fmt"
	"strings"
)

// Limits of a manifest.
const (
	// MaxFiles bounds the number of files in a tree.
	MaxFiles = 100_000
	// MaxTreeSize bounds the sum of the files' sizes, in bytes.
	MaxTreeSize = 4 << 30
	// MaxPath bounds a path, in bytes, and maxName each of its parts.
	MaxPath = 1024
	maxName = 255
	// MaxDepth bounds how many folders a path has.
	MaxDepth = 64
	// MaxPaths bounds the sum of all paths and link targets, in bytes.
	MaxPaths = 8 << 20
	// maxFolders bounds the folders of a tree.
	maxFolders = MaxFiles
	// maxCopies bounds the bytes of contents that a receiver has to copy,
	// because several files have them.
	maxCopies = freeExpansion
)

// Kind is the kind of a file in a tree.
type Kind string

// The kinds of files. Directories exist by the files in them.
const (
	KindFile       Kind = "file"
	KindExecutable Kind = "exec"
	KindSymlink    Kind = "link"
)

// File is one entry of a manifest.
type File struct {
	// Path is relative to the tree, with slashes, and clean.
	Path string `json:"path"`
	Kind Kind   `json:"kind"`
	// Size in bytes and SHA256 in lower-case hexadecimal are those of the
	// content; a symlink has neither.
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	// Link is where a symlink points: relative, and inside the tree.
	Link string `json:"link,omitempty"`
}

// Manifest lists the files of a tree.
type Manifest struct {
	Files []File `json:"files"`
}

// Size returns the sum of the files' sizes, in bytes.
func (m *Manifest) Size() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// Validate checks everything about a manifest that a hostile sender could get
// wrong: its size; paths that leave the tree or that two systems read
// differently; names that differ only in case or in their Unicode form; entries
// below a file or a symlink; symlinks that lead out; impossible hashes and sizes.
// It returns a *Problem with ProblemManifest or ProblemSizeLimit.
func (m *Manifest) Validate() error {
	if len(m.Files) == 0 {
		return manifestError("it lists no files")
	}
	if len(m.Files) > MaxFiles {
		return sizeError("it lists %d files, at most %d are allowed", len(m.Files), MaxFiles)
	}
	var total, copies int64
	paths := 0
	names := newNames()
	contents := make(map[string]int64)
	for i := range m.Files {
		f := &m.Files[i]
		if err := checkPath(f.Path); err != nil {
			return err
		}
		if paths += len(f.Path) + len(f.Link); paths > MaxPaths {
			return sizeError("its paths are longer than %d bytes together", MaxPaths)
		}
		if err := names.add(f.Path); err != nil {
			return err
		}
		if err := f.check(); err != nil {
			return err
		}
		if f.Kind == KindSymlink {
			continue
		}
		size, dup := contents[f.SHA256]
		switch {
		case dup && size != f.Size:
			return manifestError("%q has the hash of a file of another size", f.Path)
		case dup:
			copies += f.Size
		default:
			contents[f.SHA256] = f.Size
		}
		if total += f.Size; total > MaxTreeSize {
			return sizeError("its files are larger than %d bytes together", int64(MaxTreeSize))
		}
		if copies > maxCopies {
			return sizeError("files with equal contents are larger than %d bytes together", int64(maxCopies))
		}
	}
	return nil
}

func (f *File) check() error {
	switch f.Kind {
	case KindFile, KindExecutable:
		if f.Link != "" {
			return manifestError("%q is a file and has a link target", f.Path)
		}
		if f.Size < 0 || f.Size > MaxTreeSize {
			return sizeError("%q has the size %d", f.Path, f.Size)
		}
		if !isHash(f.SHA256) {
			return manifestError("%q has no SHA-256 in lower-case hexadecimal", f.Path)
		}
	case KindSymlink:
		if f.Size != 0 || f.SHA256 != "" {
			return manifestError("%q is a symlink and has a size or a hash", f.Path)
		}
		return checkLink(f.Path, f.Link)
	default:
		return manifestError("%q is of the kind %.40q; only regular files and symlinks can be sent", f.Path, f.Kind)
	}
	return nil
}

func isHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func manifestError(format string, args ...any) error {
	return &Problem{Code: ProblemManifest, Message: "the manifest is refused: " + fmt.Sprintf(format, args...)}
}

func sizeError(format string, args ...any) error {
	return &Problem{Code: ProblemSizeLimit, Message: "the manifest is refused: " + fmt.Sprintf(format, args...)}
}
