package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// systemDirs are shown read-only where they exist. On most systems all but
// /usr are links into it, and are made as such.
var systemDirs = [...]string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}

// systemFiles are the files of this machine's /etc that compilers need: where the
// dynamic linker finds libraries, where Debian's alternatives point, and Java's
// settings.
var systemFiles = [...]string{"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/java-*-openjdk"}

// kernelKnobs are files through which root changes the kernel, even without
// capabilities: their owner may write them, and if the agent runs as root, the
// kernel still takes the command's user for root. bwrap covers them only when it
// has privileges.
var kernelKnobs = [...]string{
	"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs",
	"/proc/acpi", "/proc/scsi", "/proc/mtrr", "/proc/driver", "/proc/pressure", "/proc/asound",
}

// buildID is the command's user and group inside the sandbox, so that scripts do
// not take it for root. Outside, the command runs as the agent's user.
const buildID = "1000"

// arguments builds bwrap's command line. Nothing in it is secret.
func (b *Bubblewrap) arguments(spec Spec, h *handed) ([]string, error) {
	args := []string{
		"--unshare-all", "--unshare-user", "--uid", buildID, "--gid", buildID,
		"--hostname", "farforge",
		"--die-with-parent", "--new-session", "--cap-drop", "ALL",
		"--json-status-fd", "3", "--block-fd", "4",
	}
	if b.flags["--disable-userns"] {
		// Without it the command could make namespaces of its own, a large
		// part of the kernel's attack surface.
		args = append(args, "--disable-userns")
	}
	for _, dir := range systemDirs {
		info, err := os.Lstat(dir)
		if err != nil {
			continue
		}
		if info.Mode()&os.ModeSymlink != 0 {
			if target, err := os.Readlink(dir); err == nil {
				args = append(args, "--symlink", target, dir)
			}
			continue
		}
		args = append(args, "--ro-bind", dir, dir)
	}
	for _, pattern := range systemFiles {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			args = append(args, "--ro-bind", file, file)
		}
	}
	args = append(args, h.args...)
	args = append(args, "--proc", "/proc")
	for _, path := range kernelKnobs {
		args = append(args, "--ro-bind-try", path, path)
	}
	args = append(args, "--dev", "/dev")
	for _, dir := range [...]string{"/dev/shm", "/tmp"} {
		if b.flags["--size"] && spec.Limits.MemoryBytes > 0 {
			// These live in memory. A control group counts them with the rest;
			// without one, the memory limit holds for each.
			args = append(args, "--size", strconv.FormatInt(spec.Limits.MemoryBytes, 10))
		}
		args = append(args, "--tmpfs", dir)
	}
	for _, path := range spec.ReadOnly {
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("sandbox: read-only path %q is not absolute", path)
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("sandbox: read-only path: %w", err)
		}
		args = append(args, "--ro-bind", path, path)
	}
	args = append(args, "--bind", spec.Dir, Workspace, "--chdir", Workspace)
	if spec.Cache != "" {
		args = append(args, "--bind", spec.Cache, Cache)
	}
	// These two live in memory as well; the command must not fill them.
	args = append(args, "--remount-ro", "/dev", "--remount-ro", "/", "--clearenv")
	for _, pair := range environ("/tmp", spec.Env) {
		// bwrap's own environment stays empty: a recipe's LD_PRELOAD must not
		// reach bwrap, which runs outside.
		args = append(args, "--setenv", pair[0], pair[1])
	}
	args = append(args, "--")
	limits := spec.Limits
	if b.groups != nil {
		// The group limits real memory. The address space is something else: Java,
		// V8 and sanitizers reserve far more than they use.
		limits.MemoryBytes, limits.Processes = 0, 0
	}
	return append(args, limited(limits, spec.Argv)...), nil
}
