// Package disk reads, watches and locks text files that several processes
// share: a broker that reads them, and commands that change them meanwhile.
//
//	broker    Watch ──▶ Value ◀── Check each second ◀── Follow
//	command   Lock ──▶ Read ──▶ wholefile.Replace ──▶ unlock
//
// Writers replace a file whole, so readers need no lock. The lock is on the
// file's folder: it leaves nothing behind, and it outlives the file that a
// writer replaces.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/farforge/farforge/common/wholefile"
)

// ErrTooLong is returned for a file that is longer than its reader allows.
var ErrTooLong = errors.New("the file is too long")

// Version identifies one state of a file. The zero value means that there is no
// file.
type Version struct{ info fs.FileInfo }

// Mode is the file's mode, 0 if there is no file.
func (v Version) Mode() fs.FileMode {
	if v.info == nil {
		return 0
	}
	return v.info.Mode()
}

// Changed reports whether the file at path differs from the version: another
// file, or another size, mode or time of change.
func (v Version) Changed(path string) bool {
	now, err := os.Stat(path)
	if err != nil || v.info == nil {
		return (err == nil) != (v.info != nil)
	}
	return !os.SameFile(v.info, now) || v.info.Size() != now.Size() || v.info.Mode() != now.Mode() || !v.info.ModTime().Equal(now.ModTime())
}

// Read returns the text of a file, without a byte order mark, and its version.
// It reads at most one byte more than the limit, and returns ErrTooLong for a
// longer file. It returns the version with an error, too.
func Read(path string, limit int64) ([]byte, Version, error) {
	f, err := os.Open(path)
	if err != nil {
		info, _ := os.Stat(path) // the file may exist and be unreadable
		return nil, Version{info}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, Version{}, err
	}
	v := Version{info}
	if info.IsDir() {
		return nil, v, fmt.Errorf("%s is a folder", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, v, err
	}
	if int64(len(data)) > limit {
		return nil, v, fmt.Errorf("%w: %s has more than %d bytes", ErrTooLong, path, limit)
	}
	if data, err = wholefile.Text(data); err != nil {
		return nil, v, fmt.Errorf("%s: %w", path, err)
	}
	return data, v, nil
}

// ReadSecret is Read for a secret; see Private.
func ReadSecret(path string, limit int64) ([]byte, Version, error) {
	data, v, err := Read(path, limit)
	if err == nil {
		err = Private.check(path, v)
	}
	if err != nil {
		return nil, v, err
	}
	return data, v, nil
}

// Access is a requirement on the mode of a file.
type Access int

// The kinds of access.
const (
	AnyMode     Access = iota
	GroupWrites        // only the owner and the group may write
	OwnerWrites        // only the owner may write
	Private            // only the owner may read and write; root may also let a group read
)

// CheckFolder refuses a folder whose mode does not meet the requirement.
func CheckFolder(dir string, a Access) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	return a.check(dir, Version{info})
}

func (a Access) check(path string, v Version) error {
	return a.checkOn(runtime.GOOS, path, v.Mode(), ownedByRoot(v))
}

// checkOn is check on a system. Windows has no modes: Go makes them up.
func (a Access) checkOn(system, path string, mode fs.FileMode, ofRoot bool) error {
	rule := [...]struct {
		forbidden fs.FileMode
		does, fix string
	}{
		AnyMode: {}, GroupWrites: {0o002, "change", "o-w"}, OwnerWrites: {0o022, "change", "go-w"}, Private: {0o077, "read", "600"},
	}[a]
	switch {
	case a == Private && mode.IsDir():
		rule.fix = "700"
	case a == Private && ofRoot:
		rule.forbidden = 0o027 // root has chosen the group, as systemd does for credentials
	}
	if mode = mode.Perm(); system != "windows" && mode&rule.forbidden != 0 {
		return fmt.Errorf("%s has mode %04o, others can %s it; run: chmod %s %s", path, mode, rule.does, rule.fix, path)
	}
	return nil
}
