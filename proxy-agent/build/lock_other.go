//go:build !unix

package build

import "os"

// lockFile takes no lock: no sandbox works on these systems.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
