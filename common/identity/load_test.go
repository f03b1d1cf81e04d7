package identity

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// sshKeygen makes a key with the real ssh-keygen.
func sshKeygen(t *testing.T, kind, bits, passphrase string) string {
	t.Helper()
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	path := filepath.Join(t.TempDir(), "id")
	args := []string{"-q", "-t", kind, "-N", passphrase, "-f", path}
	if bits != "" {
		args = append(args, "-b", bits)
	}
	if out, err := exec.CommandContext(t.Context(), keygen, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func signs(t *testing.T, key *Key) {
	t.Helper()
	signature, err := key.Sign(NamespaceReport, []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(key.Public(), NamespaceReport, []byte("message"), signature); err != nil {
		t.Fatal(err)
	}
}

func TestEveryKindOfOpenSSHKeySigns(t *testing.T) {
	for _, kind := range [][2]string{{"ed25519", ""}, {"ecdsa", "256"}, {"ecdsa", "384"}, {"rsa", "3072"}} {
		t.Run(kind[0]+kind[1], func(t *testing.T) {
			key, err := Loader{}.Load(sshKeygen(t, kind[0], kind[1], ""))
			if err != nil {
				t.Fatal(err)
			}
			signs(t, key)
		})
	}
}

func TestWeakKeyIsRefused(t *testing.T) {
	if _, err := (Loader{}).Load(sshKeygen(t, "rsa", "2048", "")); err == nil || !strings.Contains(err.Error(), "3072") {
		t.Fatalf("got %v", err)
	}
}

func TestProtectedKey(t *testing.T) {
	path := sshKeygen(t, "ed25519", "", "open sesame")
	if _, err := (Loader{}).Load(path); err == nil || !strings.Contains(err.Error(), "ssh-agent") {
		t.Errorf("without a passphrase: %v", err)
	}
	ask := func(answer string, err error) Loader {
		return Loader{Passphrase: func(string) ([]byte, error) { return []byte(answer), err }}
	}
	key, err := ask("open sesame", nil).Load(path)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, key)
	if _, err := ask("wrong", nil).Load(path); err == nil {
		t.Error("a wrong passphrase opened the key")
	}
	giveUp := errors.New("no passphrase was typed")
	if _, err := ask("", giveUp).Load(path); !errors.Is(err, giveUp) {
		t.Errorf("got %v", err)
	}
}

// TestForeignKeyFiles: the error for a file in another form names the command that
// converts it.
func TestForeignKeyFiles(t *testing.T) {
	ask := Loader{Passphrase: func(string) ([]byte, error) { return []byte("open sesame"), nil }}
	path := sshKeygen(t, "ed25519", "", "open sesame")
	convert := func(cipher string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-p", "-P", "open sesame", "-N", "open sesame", "-Z", cipher, "-f", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	convert("aes256-gcm@openssh.com")
	if _, err := ask.Load(path); err == nil || !strings.HasSuffix(err.Error(), "; convert it with: ssh-keygen -p -Z aes256-ctr -f "+path) {
		t.Errorf("aes256-gcm: %v", err)
	}
	convert("aes256-ctr")
	if _, err := ask.Load(path); err != nil {
		t.Errorf("after the conversion: %v", err)
	}
	for text, want := range map[string]string{
		"PuTTY-User-Key-File-3: ssh-ed25519\n":          "puttygen ",
		"---- BEGIN SSH2 PUBLIC KEY ----\n":             "ssh-keygen -i -f ",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n": "ssh-keygen -p -f ",
		"\xff\xfes\x00s\x00":                            "in UTF-16",
	} {
		at := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ask.Load(at); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestByteOrderMarkBeforeAKey(t *testing.T) {
	path := sshKeygen(t, "ed25519", "", "")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("\ufeff"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := Loader{}.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	signs(t, key)
}

// TestModesOnWindows: on Windows a mode does not show which users can read a file.
func TestModesOnWindows(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o644, 0o666, 0o400} {
		if othersCanRead("windows", mode) {
			t.Errorf("%o on Windows", mode)
		}
		if othersCanRead("linux", mode) != (mode&0o077 != 0) {
			t.Errorf("%o on Linux", mode)
		}
	}
}

// TestKeyInSSHAgent serves the agent protocol on a real socket.
func TestKeyInSSHAgent(t *testing.T) {
	for _, kind := range [][2]string{{"ed25519", ""}, {"rsa", "3072"}} {
		path := sshKeygen(t, kind[0], kind[1], "")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		private, err := ssh.ParseRawPrivateKey(data)
		if err != nil {
			t.Fatal(err)
		}
		keyring := agent.NewKeyring()
		socket := filepath.Join(t.TempDir(), "agent")
		listener, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_ = agent.ServeAgent(keyring, conn) // ends with io.EOF
				conn.Close()
			}
		}()
		loader := Loader{AgentSocket: socket}
		if _, err := loader.Load(path + ".pub"); err == nil || !strings.Contains(err.Error(), "ssh-add") {
			t.Errorf("a key that ssh-agent does not hold: %v", err)
		}
		if err := keyring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
			t.Fatal(err)
		}
		key, err := loader.Load(path + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		signs(t, key)
		listener.Close()
		<-served
		if _, err := key.Sign(NamespaceReport, nil); err == nil {
			t.Error("signed without ssh-agent")
		}
		if _, err := (Loader{}).Load(path + ".pub"); err == nil || !strings.Contains(err.Error(), "SSH_AUTH_SOCK") {
			t.Errorf("without an ssh-agent: %v", err)
		}
	}
}
