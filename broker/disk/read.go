package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrTooLong is returned for a file that is longer than its reader allows.
var ErrTooLong = errors.New("the file is too long")

// Version tells one state of a file from another. The zero value is that of a
// file which is not there.
type Version struct{ info fs.FileInfo }

// Mode is the file's, 0 if it is not there.
func (v Version) Mode() fs.FileMode {
	if v.info == nil {
		return 0
	}
	return v.info.Mode()
}

// Changed tells whether the file at path is not the one of v any more: another
// file, another size or another time of change.
func (v Version) Changed(path string) bool {
	now, err := os.Stat(path)
	if err != nil || v.info == nil {
		return (err == nil) != (v.info != nil)
	}
	return !os.SameFile(v.info, now) || v.info.Size() != now.Size() || !v.info.ModTime().Equal(now.ModTime())
}

// Read returns what the file holds and which version of it that is, or
// ErrTooLong if it is longer than most bytes. It never reads more than that.
// The version is returned with an error, too.
func Read(path string, most int64) ([]byte, Version, error) {
	f, err := os.Open(path)
	if err != nil {
		info, _ := os.Stat(path) // there, but not for us
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
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, v, err
	}
	if int64(len(data)) > most {
		return nil, v, fmt.Errorf("%w: %s has more than %d bytes", ErrTooLong, path, most)
	}
	return data, v, nil
}

// ReadSecret is Read for what nobody but its owner may read. It refuses a file
// that others can.
func ReadSecret(path string, most int64) ([]byte, Version, error) {
	data, v, err := Read(path, most)
	if err != nil {
		return nil, v, err
	}
	if mode := v.Mode().Perm(); mode&0o077 != 0 {
		return nil, v, fmt.Errorf("%s has mode %04o, others can read it; run: chmod 600 %s", path, mode, path)
	}
	return data, v, nil
}
