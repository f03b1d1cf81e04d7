package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace writes the file whole or not at all, and does not return before it
// would survive a power cut. A file that is there keeps its mode, and its owner
// if we may; a new one gets mode. A symbolic link stays one.
func Replace(path string, data []byte, mode fs.FileMode) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	old, err := os.Stat(path)
	if err == nil {
		mode = old.Mode().Perm()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return write(path, data, mode, old, os.Rename)
}

// Create writes a new file whole or not at all. It never overwrites: a file
// that is there is an error that wraps fs.ErrExist.
func Create(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, nil, os.Link)
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
	return SyncFolder(dir)
}

// Remove removes the file, if it is there, so that it stays removed.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return SyncFolder(filepath.Dir(path))
}
