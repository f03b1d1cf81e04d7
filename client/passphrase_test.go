//go:build unix

package main

import (
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
)

// TestPassphraseIsAskedOnTheTerminal types a passphrase on a real terminal, which
// must not show it, while standard input and output are redirected.
func TestPassphraseIsAskedOnTheTerminal(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	key := filepath.Join(t.TempDir(), "id")
	if out, err := exec.Command(keygen, "-q", "-a", "1", "-t", "ed25519", "-N", "sesame", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	loaded, err := identity.Loader{Passphrase: func(string) ([]byte, error) { return []byte("sesame"), nil }}.Load(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		types string
		want  cli.Exit
	}{
		{"sesame\r", cli.Done},
		{"wrong\rsesame\r", cli.Done},
		{"\x03", cli.Interrupted}, // Ctrl-C
	} {
		b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
		b.Set(func(s *fakefarm.Settings) { s.Users = []string{loaded.Fingerprint()} })
		p := newProcess(t, b, "build", "--user-key", key)
		master, tty, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		p.ExtraFiles = append(p.ExtraFiles, tty)
		p.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		if err := tty.Close(); err != nil {
			t.Fatal(err)
		}
		var seen bytes.Buffer
		var group sync.WaitGroup
		group.Go(func() { typeAtPrompts(master, &seen, tt.types) })
		if code := p.exit(t); code != tt.want {
			t.Errorf("%q: exit code %d\n%s", tt.types, code, p.stderr.String())
		}
		group.Wait()
		master.Close()
		if !strings.Contains(seen.String(), "passphrase of "+key+": ") || strings.Contains(seen.String(), "sesame") {
			t.Errorf("the terminal shows %q", seen.String())
		}
		if tt.want == cli.Done && b.Tokens()[0] != fakefarm.SessionToken(loaded.Fingerprint()) {
			t.Errorf("the broker got %q", b.Tokens())
		}
	}
}

// typeAtPrompts types one line at each prompt and collects all output.
func typeAtPrompts(terminal io.ReadWriter, seen *bytes.Buffer, keys string) {
	lines := strings.SplitAfter(keys, "\r")
	buf := make([]byte, 1024)
	for {
		n, err := terminal.Read(buf)
		seen.Write(buf[:n])
		if len(lines) > 0 && strings.HasSuffix(seen.String(), "id: ") {
			_, _ = io.WriteString(terminal, lines[0])
			lines = lines[1:]
		}
		if err != nil { // EIO, when the client has ended
			return
		}
	}
}
