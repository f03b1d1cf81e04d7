//go:build unix

package simulator

import (
	"fmt"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// PTY is a pseudo-terminal to serve a chip on: programs open Name as they would
// open a serial port. It has no modem lines, so flashing tools find the
// loader by [Config.AutoDownload] only. It keeps the terminal open, so that tools can
// close it and open it again.
type PTY struct {
	master, slave *os.File
}

// OpenPTY makes a pseudo-terminal in raw mode.
func OpenPTY() (*PTY, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil {
		master.Close()
		slave.Close()
		return nil, fmt.Errorf("set the pseudo-terminal to raw mode: %w", err)
	}
	pollable, err := inPoller(master)
	if err != nil {
		slave.Close()
		return nil, fmt.Errorf("set the pseudo-terminal up: %w", err)
	}
	return &PTY{pollable, slave}, nil
}

// inPoller returns f under Go's poller, which it leaves when its descriptor is requested.
// Without the poller Close would not end a Read while a host has the terminal open.
// inPoller closes f.
func inPoller(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// Name returns the path to open, such as /dev/pts/7.
func (p *PTY) Name() string { return p.slave.Name() }

// Read reads what the host wrote.
func (p *PTY) Read(b []byte) (int, error) { return p.master.Read(b) }

// Write writes for the host to read.
func (p *PTY) Write(b []byte) (int, error) { return p.master.Write(b) }

// Close removes the terminal; a Read or Write that waits ends, a host that has
// it open sees it hang up.
func (p *PTY) Close() error {
	err := p.master.Close()
	if e := p.slave.Close(); err == nil {
		err = e
	}
	return err
}
