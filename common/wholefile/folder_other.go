//go:build !unix

package wholefile

import (
	"io/fs"
	"os"
)

// syncFolder does nothing where folders cannot be opened.
func syncFolder(string) error { return nil }

func keepOwner(*os.File, fs.FileInfo) {}
