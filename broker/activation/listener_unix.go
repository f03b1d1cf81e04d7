//go:build unix

package activation

import (
	"net"
	"os"
	"syscall"
)

// listener makes a listener of a descriptor, which no child is to inherit.
func listener(fd int, name string) (net.Listener, error) {
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() // the listener has a descriptor of its own
	return net.FileListener(f)
}
