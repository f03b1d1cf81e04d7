package natlab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/farforge/farforge/common/nat"
	"github.com/farforge/farforge/examples/internal/launch"
)

// inside is set in the process that runs in its own namespaces.
const inside = "FARFORGE_NATLAB"

// programs is the folder with the real programs.
var programs string

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "badline" {
		if err := badLine(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bad line:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "probe" {
		kind, err := nat.Probe(context.Background(), os.Args[2])
		if err != nil {
			fmt.Fprintln(os.Stderr, "probe:", err)
			os.Exit(1)
		}
		fmt.Print(kind)
		return
	}
	os.Exit(func() int {
		if programs = os.Getenv(inside); programs != "" {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "farforge-natlab")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		programs = dir
		return m.Run()
	}())
}

// enter runs the test again in user, mount and network namespaces of its own,
// where it is root. It returns true in that second run, and false in the first
// once the second has ended. It skips the test where the kernel forbids such
// namespaces.
func enter(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		prepare(t)
		return true
	}
	// Debian installs them here, outside an ordinary user's PATH.
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	launch.Need(t, "ip", "nft")
	if out, err := isolated("/bin/true").CombinedOutput(); err != nil {
		t.Skipf("this machine does not allow namespaces: %v %s", err, out)
	}
	if err := launch.Build(programs, false, "broker", "proxy-agent", "client"); err != nil {
		t.Fatal(err)
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v"}
	if deadline, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+fmt.Sprint(untilJustBefore(deadline)))
	}
	cmd := isolated(os.Args[0], args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), inside+"="+programs)
	err := cmd.Run()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, &out)
	case bytes.Contains(out.Bytes(), []byte("--- SKIP")):
		t.Skip(out.String())
	default:
		t.Logf("%s", &out)
	}
	return false
}

// isolated returns a command in namespaces of its own. An ordinary user becomes
// root in there only.
func isolated(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return cmd
}

// prepare gives ip-netns a /run of its own, where it keeps one file per namespace.
func prepare(t *testing.T) {
	t.Helper()
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Skipf("this machine does not allow mounts in a namespace: %v", err)
	}
	if err := syscall.Mount("none", "/run", "tmpfs", 0, ""); err != nil {
		t.Skipf("this machine does not allow a tmpfs in a namespace: %v", err)
	}
	if err := os.MkdirAll(filepath.Join("/run", "netns"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "netns", "add", "probe").CombinedOutput(); err != nil {
		t.Skipf("this machine does not allow named network namespaces: %s", out)
	}
	if out, err := exec.Command("ip", "netns", "exec", "probe", "nft", "add", "table", "ip", "probe").CombinedOutput(); err != nil {
		t.Skipf("nftables do not work here: %s", out)
	}
	if out, err := exec.Command("ip", "netns", "delete", "probe").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
}
