package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// namespace is the pid namespace of a job, by which its processes are found.
type namespace struct{ id atomic.Pointer[string] }

// find notes the namespace of a process.
func (n *namespace) find(pid int) {
	if id, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err == nil {
		n.id.Store(&id)
	}
}

// held returns the bytes of files on the device that processes of the namespace
// hold open and that have no name any more: a tree does not show them.
func (n *namespace) held(dev uint64) int64 {
	id := n.id.Load()
	if id == nil {
		return 0
	}
	type file struct{ dev, inode uint64 }
	seen := map[file]bool{}
	var bytes int64
	processes, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, link := range processes {
		if to, err := os.Readlink(link); err != nil || to != *id {
			continue
		}
		open, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(link)), "fd", "*"))
		for _, fd := range open {
			var stat unix.Stat_t
			if unix.Stat(fd, &stat) != nil || stat.Nlink > 0 || uint64(stat.Dev) != dev {
				continue
			}
			if f := (file{uint64(stat.Dev), stat.Ino}); !seen[f] {
				seen[f] = true
				bytes += stat.Blocks * 512
			}
		}
	}
	return bytes
}
