//go:build !unix

package simulator

import "errors"

// PTY is a pseudo-terminal to serve a chip on, where the system has them.
type PTY struct{}

var errNoPTY = errors.New("this system has no pseudo-terminals")

// OpenPTY reports that there are no pseudo-terminals.
func OpenPTY() (*PTY, error) { return nil, errNoPTY }

// Name returns an empty string.
func (*PTY) Name() string { return "" }

// Read reports that there are no pseudo-terminals.
func (*PTY) Read([]byte) (int, error) { return 0, errNoPTY }

// Write reports that there are no pseudo-terminals.
func (*PTY) Write([]byte) (int, error) { return 0, errNoPTY }

// Close does nothing.
func (*PTY) Close() error { return nil }
