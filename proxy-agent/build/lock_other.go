//go:build !unix

package build

import "os"

// lockFile has no lock to take: no sandbox works on these systems either.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
