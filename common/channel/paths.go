package channel

import (
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

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
	case strings.ContainsRune(p, ':'):
		return manifestError("the path %q has a colon, which Windows does not allow", p)
	case strings.ContainsFunc(p, unicode.IsControl):
		return manifestError("the path %q has a control character", p)
	case strings.Count(p, "/") > MaxDepth:
		return sizeError("the path %.80q… has more than %d folders", p, MaxDepth)
	}
	for part := range strings.SplitSeq(p, "/") {
		switch {
		case part == "..":
			return manifestError("the path %q leads out of the project", p)
		case part == "" || part == ".":
			return manifestError("the path %q is not clean", p)
		case len(part) > maxName:
			return manifestError("the path %.80q… has a part longer than %d bytes", p, maxName)
		case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " "):
			return manifestError("a part of the path %q ends in a dot or a space, which Windows drops", p)
		case isDevice(part):
			return manifestError("a part of the path %q is the name of a device on Windows", p)
		}
	}
	return nil
}

// isDevice reports whether Windows takes the name for a device, whatever its
// extension.
func isDevice(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	digit, ok := strings.CutPrefix(stem, "COM")
	if !ok {
		digit, ok = strings.CutPrefix(stem, "LPT")
	}
	return ok && utf8.RuneCountInString(digit) == 1 && strings.Contains("123456789¹²³", digit)
}

// checkLink accepts only targets whose ".." come first: there they climb real
// folders, because nothing lies below a symlink. A later ".." could climb from
// wherever another symlink leads.
func checkLink(at, target string) error {
	switch {
	case target == "" || len(target) > MaxPath || !utf8.ValidString(target):
		return manifestError("the symlink %q has no usable target", at)
	case strings.HasPrefix(target, "/"), strings.ContainsAny(target, "\\:"), strings.ContainsFunc(target, unicode.IsControl):
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

// names finds paths that collide: listed twice, equal but for case or Unicode
// form, or one below another that is not a folder.
type names struct {
	fold    cases.Caser
	seen    map[string]entry // by folded path
	folders int
}

type entry struct {
	path string
	dir  bool
}

func newNames() *names { return &names{fold: cases.Fold(), seen: make(map[string]entry)} }

// key is equal for paths that some file system takes for one. Most paths are
// their own key, and share its memory.
func (n *names) key(p string) string {
	for i := range len(p) {
		if c := p[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return norm.NFC.String(n.fold.String(norm.NFC.String(p)))
		}
	}
	return p
}

func (n *names) add(p string) error {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		key := n.key(dir)
		old, ok := n.seen[key]
		if ok && !old.dir {
			return manifestError("%q lies below %q, which is not a folder", p, old.path)
		}
		if ok && old.path != dir {
			return manifestError("the folders %q and %q differ only in case or Unicode form", old.path, dir)
		}
		if ok {
			break // its own parents were checked with it
		}
		n.seen[key] = entry{dir, true}
		if n.folders++; n.folders > maxFolders {
			return sizeError("it has more than %d folders", maxFolders)
		}
	}
	key := n.key(p)
	old, ok := n.seen[key]
	switch {
	case ok && old.path == p && !old.dir:
		return manifestError("%q is listed twice", p)
	case ok && old.path == p:
		return manifestError("%q is both a file and a folder", p)
	case ok:
		return manifestError("%q and %q differ only in case or Unicode form", old.path, p)
	}
	n.seen[key] = entry{p, false}
	return nil
}
