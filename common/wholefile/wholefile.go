// Package wholefile writes files that are there whole or not at all.
//
//	.name.123456 ── write ── mode ── sync ──▶ rename ──▶ name ── sync the folder
//
// The data goes into a temporary file in the same folder, which then takes the
// name in one step.
//
// Readers need no lock: whoever opens the file gets the old contents or the new
// ones, and who has it open keeps what he opened. Writers do not wait for each
// other: the last one wins, whole. Who changes what he has read before needs a
// lock of his own.
//
// After a crash or a power cut, the file is the old one or the new one; once a
// function has returned without an error, it is the new one. What a crash may
// leave behind is the temporary file, named after the file with a dot before
// it: whoever keeps secrets so removes ".name.*" when he starts.
//
// An error leaves the old file and no temporary one. The exception is an error
// of the folder's sync, after which the new file is there but might not survive
// a power cut. That the folder does not exist is an error that wraps
// fs.ErrNotExist.
//
// A file's mode is exact, whatever the umask. It has it before it has its name;
// until then only its owner can read it.
package wholefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write makes the file at path, or another in its place: with this mode, and
// owned by whoever runs the program. It trusts nothing that was there before: a
// symbolic link is not followed, but replaced. That is for files that are the
// program's own.
func Write(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, nil, os.Rename)
}

// Replace is Write for a file that its user also looks after. One that is there
// keeps its mode, and its owner if we may give files away; a new one gets this
// mode. A symbolic link stays one, and the file that it points to is replaced;
// one that points nowhere is an error.
func Replace(path string, data []byte, mode fs.FileMode) error {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is a symbolic link to a file that does not exist; make that file, or remove the link", path)
		}
		return Write(path, data, mode)
	}
	if err != nil {
		return err
	}
	old, err := os.Stat(target)
	if err != nil {
		return err
	}
	return write(target, data, old.Mode().Perm(), old, os.Rename)
}

// Create makes a new file. It never overwrites: whatever is at path, be it a
// link that points nowhere, is an error that wraps fs.ErrExist. Of two who
// create the same file, one succeeds. The file system must have hard links.
func Create(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, nil, os.Link)
}

// Remove removes the file, if it is there, so that it stays removed.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// write puts the data into a temporary file and then in its place.
func write(path string, data []byte, mode fs.FileMode, old fs.FileInfo, place func(from, to string) error) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // what was renamed is not there any more
	keepOwner(temp, old)
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := place(temp.Name(), path); err != nil {
		return err
	}
	return syncFolder(dir)
}
