// Package wholefile writes files whole or not at all, and reads texts.
//
//	.name.123456 ── write ── mode ── sync ──▶ rename ──▶ name ── sync the folder
//
// The data goes into a temporary file in the same folder, which then takes the
// name in one step.
//
// Readers need no lock: a program that opens the file gets the old contents or the new
// ones, and keeps them while the file is open. Writers do not wait for each other: the
// last one wins, whole. A program that reads, changes and writes a file needs a lock of
// its own.
//
// After a crash or a power cut, the file is the old one or the new one; once a
// function has returned without an error, it is the new one. A crash can leave the
// temporary file, which has the file's name with a dot before it: a program with secrets
// in such files removes ".name.*" when it starts.
//
// An error leaves the old file and no temporary one. The exception is an error
// of the folder's sync, after which the new file has its name but may be lost in
// a power cut. A missing folder is an error that wraps fs.ErrNotExist.
//
// A file's mode is exact, whatever the umask. It is set before the file gets its name;
// until then only its owner can read it.
package wholefile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write makes or replaces the file at path, with this mode and the owner of the process.
// It replaces a symbolic link instead of following it. Use it for files that belong to
// the program.
func Write(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, nil, os.Rename)
}

// Replace is Write for a file that the user edits, too. An existing file keeps its mode
// and, if the process may set that, its owner; a new file gets this mode. A symbolic link
// stays, and the file that it points to is replaced; a link that points nowhere is an
// error.
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

// Create makes a new file. It never overwrites: anything at path, even a link that points
// nowhere, is an error that wraps fs.ErrExist. Of two processes that create the same
// file, one succeeds. The file system must have hard links.
func Create(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, nil, os.Link)
}

// Remove removes the file, if it exists, and syncs the folder.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// write writes the data to a temporary file and then calls place.
func write(path string, data []byte, mode fs.FileMode, old fs.FileInfo, place func(from, to string) error) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails after a rename
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

// ErrUTF16 is the error for a text that is in UTF-16, as some editors and shells on
// Windows write it.
var ErrUTF16 = errors.New("it is in UTF-16; save it as UTF-8")

// Text returns the text of a file without a byte order mark. It returns ErrUTF16 for
// a text in UTF-16.
func Text(data []byte) ([]byte, error) {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, ErrUTF16
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}
