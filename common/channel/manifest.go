package channel

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
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
)

// Kind tells what a file of a tree is.
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
// wrong: paths that leave the tree or that two systems read differently, names
// that differ only in case, entries below a file or a symlink, symlinks that
// lead out, hashes and sizes that cannot be. It returns a *Problem with
// ProblemManifest or ProblemSizeLimit.
func (m *Manifest) Validate() error {
	if len(m.Files) == 0 {
		return manifestError("it lists no files")
	}
	if len(m.Files) > MaxFiles {
		return sizeError("it lists %d files, at most %d are allowed", len(m.Files), MaxFiles)
	}
	var total int64
	names := newNames()
	contents := make(map[string]int64, len(m.Files))
	for i := range m.Files {
		f := &m.Files[i]
		if err := checkPath(f.Path); err != nil {
			return err
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
		if size, dup := contents[f.SHA256]; dup && size != f.Size {
			return manifestError("%q has the hash of a file of another size", f.Path)
		}
		contents[f.SHA256] = f.Size
		if total += f.Size; total > MaxTreeSize {
			return sizeError("its files are larger than %d bytes together", int64(MaxTreeSize))
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
		return manifestError("%q is of the kind %q; only regular files and symlinks can be sent", f.Path, f.Kind)
	}
	return nil
}

func isHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// checkPath accepts only paths that mean the same on every system.
func checkPath(p string) error {
	switch {
	case p == "" || len(p) > MaxPath:
		return manifestError("a path is empty or longer than %d bytes: %.80q", MaxPath, p)
	case !utf8.ValidString(p):
		return manifestError("the path %q is not UTF-8", p)
	case strings.HasPrefix(p, "/"):
		return manifestError("the path %q is absolute", p)
	case strings.ContainsRune(p, '\\'):
		return manifestError("the path %q has a backslash", p)
	case strings.ContainsFunc(p, unicode.IsControl):
		return manifestError("the path %q has a control character", p)
	}
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "..":
			return manifestError("the path %q leads out of the project", p)
		case part == "" || part == ".":
			return manifestError("the path %q is not clean", p)
		case len(part) > maxName:
			return manifestError("the path %.80q… has a part longer than %d bytes", p, maxName)
		}
	}
	return nil
}

// checkLink accepts only targets whose ".." come first: there they climb real
// directories, because nothing lies below a symlink. A later ".." could climb
// from wherever another symlink leads.
func checkLink(at, target string) error {
	switch {
	case target == "" || len(target) > MaxPath || !utf8.ValidString(target):
		return manifestError("the symlink %q has no usable target", at)
	case strings.HasPrefix(target, "/"), strings.ContainsRune(target, '\\'), strings.ContainsFunc(target, unicode.IsControl):
		return manifestError("the symlink %q points to %q, which is not a relative path", at, target)
	}
	parts := strings.Split(target, "/")
	climb := 0
	for climb < len(parts) && parts[climb] == ".." {
		climb++
	}
	if climb > strings.Count(at, "/") || slices.Contains(parts[climb:], "..") {
		return manifestError("the symlink %q points to %q, which can lead out of the project", at, target)
	}
	return nil
}

// names finds paths that collide: twice the same, the same but for case, or one
// below another that is no directory.
type names struct {
	fold cases.Caser
	seen map[string]entry // by folded path
}

type entry struct {
	path string
	dir  bool
}

func newNames() *names { return &names{fold: cases.Fold(), seen: make(map[string]entry)} }

func (n *names) add(p string) error {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		key := n.fold.String(dir)
		old, ok := n.seen[key]
		if ok && !old.dir {
			return manifestError("%q lies below %q, which is no directory", p, old.path)
		}
		if ok && old.path != dir {
			return manifestError("the folders %q and %q differ only in case", old.path, dir)
		}
		if ok {
			break // its own parents were checked with it
		}
		n.seen[key] = entry{dir, true}
	}
	key := n.fold.String(p)
	old, ok := n.seen[key]
	switch {
	case ok && old.path == p && !old.dir:
		return manifestError("%q is listed twice", p)
	case ok && old.path == p:
		return manifestError("%q is both a file and a folder", p)
	case ok:
		return manifestError("%q and %q differ only in case", old.path, p)
	}
	n.seen[key] = entry{p, false}
	return nil
}

func manifestError(format string, args ...any) error {
	return &Problem{Code: ProblemManifest, Message: "the manifest is refused: " + fmt.Sprintf(format, args...)}
}

func sizeError(format string, args ...any) error {
	return &Problem{Code: ProblemSizeLimit, Message: "the manifest is refused: " + fmt.Sprintf(format, args...)}
}
