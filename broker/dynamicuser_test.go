//go:build unix

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAServiceReadsWhatRootMade edits the lists as root and starts the broker
// as another user, as systemd does with the DynamicUser= of doc/operating.md.
func TestAServiceReadsWhatRootMade(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process as another user")
	}
	const nobody = 65534
	dir := t.TempDir()
	for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(state, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "broker") // the test's own folder is closed to others
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", self, program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	agents, users := filepath.Join(dir, "agents"), filepath.Join(dir, "users")
	agent := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8hUIJkSPwqlVhcBZYbEJfjvDWoNMNhDmiCFRJE0iDF anvil"
	for _, args := range [][]string{
		{"users", "add", "alice", "--users", users},
		{"agents", "add", agent, "--authorized-agents", agents},
	} {
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	service := func() *exec.Cmd {
		cmd := exec.Command(program, "--addr", "127.0.0.1:0", "--disable-tls", "--authorized-agents", agents, "--users", users, "--state-dir", state)
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		return cmd
	}
	// A file that an older version or an editor has closed is named with what to do.
	if err := os.Chmod(users, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := service().CombinedOutput(); err == nil || !strings.Contains(string(out), "hint: let the broker's user read it: chmod 644 "+users) {
		t.Errorf("%v: %s", err, out)
	}
	if err := os.Chmod(users, 0o644); err != nil {
		t.Fatal(err)
	}

	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	if err := os.Chmod(filepath.Join(dir, "notify"), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := service()
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	log := background(t, cmd)
	waitReady(t, manager)
	// The broker's output arrives through a pipe, perhaps after its notification.
	waitFor(t, "the broker lists one agent", func() error {
		if !strings.Contains(log.String(), "1 agents listed") {
			return os.ErrNotExist
		}
		return nil
	})
	// Root rotates the keys of the service's folder, and the service still reads them.
	if out, err := exec.Command(program, "keys", "rotate", "--state-dir", state).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	waitFor(t, "the broker uses the new key", func() error {
		if !strings.Contains(log.String(), "grant signing keys changed") {
			return os.ErrNotExist
		}
		return nil
	})
}
