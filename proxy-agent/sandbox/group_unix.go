//go:build unix

package sandbox

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// awaitGroup waits until a killed process group has ended. The kernel offers no
// notice of that, so it polls. It gives up after five seconds, because a process
// can be stuck in a device driver.
func awaitGroup(group int) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if syscall.Kill(-group, 0) != nil || onlyZombies(group) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// onlyZombies reports whether every member of the group is a zombie, which the
// pid 1 of some containers never collects. Without /proc it reports false.
func onlyZombies(group int) bool {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// "pid (name) state parent group …"; the name can hold anything.
		text := string(data)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" && fields[0] != "X" {
			return false
		}
	}
	return len(paths) > 0
}
