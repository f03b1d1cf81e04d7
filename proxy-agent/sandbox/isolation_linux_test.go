package sandbox

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestNoNetwork(t *testing.T) {
	b := bubblewrap(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	connect := "bash -c 'exec 3<>/dev/tcp/127.0.0.1/" + port + "'"
	if r := script(t, None{}, connect); r.ExitCode != 0 {
		t.Skipf("cannot connect even without a sandbox: %s", r.stderr)
	}
	if r := script(t, b, connect); r.ExitCode == 0 {
		t.Error("the sandbox reached a server on this machine")
	}
	r := script(t, b, "tail -n +3 /proc/net/dev | cut -d: -f1; cat /proc/net/route")
	if devices := strings.Fields(r.stdout); len(devices) == 0 || devices[0] != "lo" || strings.Contains(r.stdout, "eth") {
		t.Errorf("network devices and routes: %q", r.stdout)
	}
}

func TestCannotReadTheAgentsFiles(t *testing.T) {
	b := bubblewrap(t)
	state := t.TempDir()
	secret := filepath.Join(state, "key")
	if err := os.WriteFile(secret, []byte("private key"), 0o600); err != nil {
		t.Fatal(err)
	}
	home, _ := os.UserHomeDir()
	r := script(t, b, "cat "+secret+" /etc/shadow; ls "+state+" "+home+" /root /home /var /srv; ls -A /etc")
	if strings.Contains(r.stdout+r.stderr, "private key") {
		t.Error("the agent's state can be read")
	}
	for _, line := range strings.Fields(r.stdout) {
		if strings.HasPrefix(line, "java-") {
			continue
		}
		switch line {
		case "alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "group", "hosts", "nsswitch.conf", "passwd":
		default:
			t.Errorf("the sandbox sees %q", line)
		}
	}
}

func TestCannotWriteOutsideTheWorkspace(t *testing.T) {
	b := bubblewrap(t)
	// No kernel setting that root could change can be opened.
	r := script(t, b, `find /proc -path '/proc/[0-9]*' -prune -o -type f -perm /222 -print | while read -r f; do
		(: >> "$f") 2>/dev/null && echo "can open $f"
	done`)
	if r.stdout != "" {
		t.Errorf("in /proc:\n%s", r.stdout)
	}
	r = script(t, b, `for f in /x /usr/x /bin/x /lib/x /etc/x /dev/x /proc/sys/kernel/hostname /home/x; do
		(echo bad > $f) 2>/dev/null && echo "wrote $f"
	done; (echo ok > /tmp/x) && (echo ok > x) && echo fine`)
	if r.stdout != "fine\n" {
		t.Errorf("got %q", r.stdout)
	}
}

// TestCacheShowsNothingElse looks for the agent's note beside the cache, and for a
// cache in a job that has none.
func TestCacheShowsNothingElse(t *testing.T) {
	b := bubblewrap(t)
	dir := t.TempDir()
	cache := filepath.Join(dir, "files")
	if err := errors.Join(os.Mkdir(cache, 0o700), os.WriteFile(filepath.Join(dir, "note"), []byte("the agent's"), 0o600)); err != nil {
		t.Fatal(err)
	}
	use := func(s *Spec) { s.Cache = cache }
	r := script(t, b, "ls -A /cache; cat /cache/../note "+dir+"/note; mv /cache /other; rmdir /cache; ln -s "+dir+"/note /cache/link; cat /cache/link", use)
	if r.stdout != "" {
		t.Errorf("it sees %q", r.stdout)
	}
	if info, err := os.Lstat(cache); err != nil || !info.IsDir() {
		t.Errorf("the cache was replaced: %v, %v", info, err)
	}
	if r := script(t, b, "ls -d /cache; ls /cache"); r.stdout != "" {
		t.Errorf("without a cache it sees %q", r.stdout)
	}
}

func TestTmpIsPrivateAndBounded(t *testing.T) {
	b := bubblewrap(t)
	shared, err := os.CreateTemp("/tmp", "farforge-shared-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(shared.Name())
	shared.Close()
	mark := "/tmp/farforge-inside-" + itoa(os.Getpid())
	r := script(t, b, "ls -A /tmp; touch "+mark)
	if r.stdout != "" {
		t.Errorf("/tmp holds %q", r.stdout)
	}
	if _, err := os.Stat(mark); err == nil {
		os.Remove(mark)
		t.Error("a file in the sandbox's /tmp is in the machine's /tmp")
	}
	r = script(t, b, "head -c 100000000 /dev/zero > /tmp/big", func(s *Spec) { s.Limits.MemoryBytes = 64 << 20 })
	if r.ExitCode == 0 {
		t.Error("/tmp took more than the memory limit")
	}
}

func TestCannotSeeOtherProcesses(t *testing.T) {
	r := script(t, bubblewrap(t), "ls -d /proc/[0-9]*; kill -0 "+itoa(os.Getpid())+" && echo found the agent")
	// Only pid 1 and the shell; ls starts after the names were found.
	if n := strings.Count(r.stdout, "/proc/"); n != 2 || strings.Contains(r.stdout, "found") {
		t.Errorf("sees %q", r.stdout)
	}
}

func TestNoCapabilitiesNoNewNamespacesNoTerminal(t *testing.T) {
	b := bubblewrap(t)
	r := script(t, b, "grep -E '^Cap(Eff|Prm|Bnd|Inh|Amb)' /proc/self/status | cut -f2 | sort -u; grep NoNewPrivs /proc/self/status; id -u; hostname; ls /proc/self/fd | wc -l")
	want := "0000000000000000\nNoNewPrivs:\t1\n1000\nfarforge\n4\n" // 3 streams and ls's own
	if r.stdout != want {
		t.Errorf("got %q, want %q", r.stdout, want)
	}
	if b.flags["--disable-userns"] && script(t, b, "unshare -U true").ExitCode == 0 {
		t.Error("the command can make user namespaces")
	}
	if script(t, b, "echo x > /dev/tty").ExitCode == 0 {
		t.Error("the command has a controlling terminal")
	}
}

func TestReadOnlyPathsOfARecipe(t *testing.T) {
	b := bubblewrap(t)
	tool := t.TempDir()
	if err := os.WriteFile(filepath.Join(tool, "file"), []byte("tool"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := script(t, b, "cat "+tool+"/file; echo bad > "+tool+"/file || echo refused", func(s *Spec) { s.ReadOnly = []string{tool} })
	if r.stdout != "toolrefused\n" {
		t.Errorf("got %q, %q", r.stdout, r.stderr)
	}
	if _, err := tryScript(t.Context(), t, b, "true", func(s *Spec) { s.ReadOnly = []string{tool + "/missing"} }); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("missing path: %v", err)
	}
}

func TestForkBombEndsWithItsTime(t *testing.T) {
	b := bubblewrap(t)
	mark := "farforge-test-bomb-" + itoa(os.Getpid())
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	// The bomb is bounded for root too, so that a failing test spares the machine:
	// each process doubles up to a depth of ten, then all sleep.
	bomb := `f() { [ $1 -gt 10 ] && exec sleep 1000; (f $(($1+1))) & (f $(($1+1))) & wait; }; f 0`
	_, err := tryScript(ctx, t, b, bomb, func(s *Spec) {
		s.Argv = []string{"sh", "-c", bomb, mark}
		s.Limits.Processes = 200
	})
	if err == nil && os.Getuid() == 0 {
		t.Error("the bomb ended by itself")
	}
	if left := alive(t, mark); len(left) > 0 {
		t.Errorf("%d processes left", len(left))
	}
}

func TestProcessLimit(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("the kernel does not limit the number of root's processes; TestUnprivileged runs this")
	}
	r := script(t, bubblewrap(t), "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 5 & done; echo all",
		func(s *Spec) { s.Limits.Processes = 12 })
	if r.ExitCode == 0 || strings.Contains(r.stdout, "all") {
		t.Errorf("20 processes ran: %q", r.stdout)
	}
}

func TestBrokenSetUpIsNotTheBuildsFault(t *testing.T) {
	b := bubblewrap(t)
	_, err := tryScript(t.Context(), t, b, "true", func(s *Spec) { s.Dir = "/no/such/directory" })
	if err == nil || !strings.Contains(err.Error(), "/no/such/directory") {
		t.Errorf("got %v, want bwrap's own words", err)
	}
}

func TestCheckSaysWhatToDo(t *testing.T) {
	t.Run("old", func(t *testing.T) {
		dir := t.TempDir() // a stand-in for the bwrap of Debian 11
		script := "#!/bin/sh\necho usage: bwrap --help --json-status-fd --block-fd --seccomp --ro-bind-data\n"
		if err := os.WriteFile(filepath.Join(dir, "bwrap"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		err := NewBubblewrap(t.Context()).Check(t.Context())
		var unusable *Unusable
		if !errors.As(err, &unusable) || !strings.Contains(unusable.Reason, "does not know --clearenv, --size") || !strings.Contains(unusable.Advice, "0.7 or newer") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		err := NewBubblewrap(t.Context()).Check(t.Context())
		var unusable *Unusable
		if !errors.As(err, &unusable) || !strings.Contains(unusable.Advice, "install") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("forbidden", func(t *testing.T) {
		err := diagnose(errors.New("bwrap: No permissions to create new namespace, likely because the kernel does not allow non-privileged user namespaces."))
		var unusable *Unusable
		if !errors.As(err, &unusable) || !strings.Contains(unusable.Advice, "unprivileged_userns_clone") {
			t.Errorf("got %v", err)
		}
	})
}

// TestUnprivileged runs this package's tests again as a user without rights.
func TestUnprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("all tests already run unprivileged")
	}
	dir, err := os.MkdirTemp("", "farforge-unprivileged-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	const nobody = 65534
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(dir+"/tmp", 0o700), os.Chown(dir+"/tmp", nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(dir, "sandbox.test")
	copyExecutable(t, self)
	cmd := exec.CommandContext(t.Context(), self, "-test.v", "-test.skip", "Fuzz")
	cmd.Dir = dir + "/tmp"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir + "/tmp", "HOME=" + dir + "/tmp"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("as nobody: %v\n%s", err, out)
	case strings.Contains(string(out), "no usable bubblewrap"):
		t.Skipf("unprivileged users cannot use bubblewrap here:\n%s", out)
	case !strings.Contains(string(out), "--- PASS: TestProcessLimit"):
		t.Errorf("the process limit was not tested:\n%s", out)
	}
}

func copyExecutable(t *testing.T, to string) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
