//go:build !unix

package disk

import (
	"io/fs"
	"os"
)

// Lock does nothing where there is no flock: the last writer wins whole.
func Lock(string) (unlock func(), err error) { return func() {}, nil }

// SyncFolder does nothing where folders cannot be opened.
func SyncFolder(string) error { return nil }

func keepOwner(*os.File, fs.FileInfo) {}
