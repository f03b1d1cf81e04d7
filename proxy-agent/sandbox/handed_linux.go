package sandbox

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// madeFiles are the files of /etc that bwrap makes up: enough for whoami, id and
// localhost, and nothing about this machine.
var madeFiles = []struct{ path, text string }{
	{"/etc/passwd", "root:x:0:0:root:/:/bin/sh\nbuild:x:1000:1000:build:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"},
	{"/etc/group", "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n"},
	{"/etc/hosts", "127.0.0.1 localhost farforge\n::1 localhost\n"},
	{"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n"},
}

// handed are open files that bwrap inherits, and the arguments that name them.
type handed struct {
	files []*os.File
	args  []string
}

// firstHanded is the descriptor of the first: 3 and 4 are the status and the
// gate.
const firstHanded = 5

// hand makes the system call filter and the made-up files ready to be read.
func (b *Bubblewrap) hand() (*handed, error) {
	h := &handed{}
	if err := h.add(b.filter, "--seccomp"); err != nil {
		return nil, err
	}
	for _, f := range madeFiles {
		if err := h.add([]byte(f.text), "--ro-bind-data", f.path); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// add makes a file with the contents in memory. Its descriptor follows the first
// argument.
func (h *handed) add(contents []byte, option string, rest ...string) error {
	fd, err := unix.MemfdCreate("farforge", unix.MFD_CLOEXEC)
	if err != nil {
		h.close()
		return fmt.Errorf("sandbox: make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "farforge")
	h.files = append(h.files, f)
	_, err = f.Write(contents)
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		h.close()
		return fmt.Errorf("sandbox: write a file in memory: %w", err)
	}
	h.args = append(h.args, option, fmt.Sprint(firstHanded+len(h.files)-1))
	h.args = append(h.args, rest...)
	return nil
}

func (h *handed) close() { closeFiles(h.files...) }

// emptyKeyring gives the calling thread, and the programs that it starts, a
// session keyring with nothing in it. Kernels without keyrings have none to hide.
func emptyKeyring() error {
	// Without a name; one that is named "" would be shared.
	_, _, errno := unix.RawSyscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
	if errno == 0 || errno == unix.ENOSYS || errno == unix.EPERM {
		return nil
	}
	return fmt.Errorf("sandbox: make an empty session keyring: %w", errno)
}
