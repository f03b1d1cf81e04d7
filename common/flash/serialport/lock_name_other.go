//go:build !unix

package serialport

// lockName does nothing: the operating system opens a port for one program only.
func lockName(string) (unlock func() error, err error) {
	return func() error { return nil }, nil
}
