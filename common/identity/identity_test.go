package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func newKey(t testing.TB) *Key {
	t.Helper()
	key, err := GenerateKey(filepath.Join(t.TempDir(), "id"), "test")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestKeyIsReadBackFromItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "agent_key")
	made, err := GenerateKey(path, "bench")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := Loader{}.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if made.Fingerprint() != loaded.Fingerprint() {
		t.Fatal("the key that was read differs from the one that was written")
	}
	if _, err := GenerateKey(path, "bench"); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("GenerateKey over an existing key: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (Loader{}).Load(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Fatalf("a key that others can read: %v", err)
	}
}

func TestSignatureIsBoundToAllOfIt(t *testing.T) {
	key, other := newKey(t), newKey(t)
	sig, err := key.Sign(NamespaceSession, []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(key.Public(), NamespaceSession, []byte("message"), sig); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"other key":       Verify(other.Public(), NamespaceSession, []byte("message"), sig),
		"other namespace": Verify(key.Public(), NamespaceReport, []byte("message"), sig),
		"other message":   Verify(key.Public(), NamespaceSession, []byte("massage"), sig),
		"no armor":        Verify(key.Public(), NamespaceSession, []byte("message"), "x"),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestOpenSSHVerifies: ssh-keygen accepts signatures of this package.
func TestOpenSSHVerifies(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	dir := t.TempDir()
	key, err := GenerateKey(filepath.Join(dir, "id"), "")
	if err != nil {
		t.Fatal(err)
	}
	sig, err := key.Sign(NamespaceReport, []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	signers := "agent " + key.PublicLine("") + "\n"
	for name, text := range map[string]string{"signers": signers, "sig": sig} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), keygen, "-Y", "verify", "-f", "signers", "-I", "agent", "-n", NamespaceReport, "-s", "sig")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader("message")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestChallengeBytesDifferByField(t *testing.T) {
	base := Challenge{Role: RoleAgent, Origin: "https://a", Challenge: []byte("c"), Nonce: []byte("n"), Fingerprint: "f"}
	for name, c := range map[string]Challenge{
		"role":           {RoleUser, "https://a", []byte("c"), []byte("n"), "f"},
		"origin":         {RoleAgent, "https://b", []byte("c"), []byte("n"), "f"},
		"challenge":      {RoleAgent, "https://a", []byte("x"), []byte("n"), "f"},
		"nonce":          {RoleAgent, "https://a", []byte("c"), []byte("x"), "f"},
		"fingerprint":    {RoleAgent, "https://a", []byte("c"), []byte("n"), "x"},
		"moved boundary": {RoleAgent, "https://a", []byte("cn"), nil, "f"},
	} {
		if string(c.SignedBytes()) == string(base.SignedBytes()) {
			t.Errorf("%s: same bytes", name)
		}
	}
}

func TestOrigin(t *testing.T) {
	tests := []struct{ in, want string }{
		{"https://Broker.Example.org/", "https://broker.example.org"},
		{"https://broker.example.org:443/x?y", "https://broker.example.org"},
		{"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"http://[::1]:80", "http://[::1]"},
		{"broker.example.org", ""}, {"ftp://x", ""}, {"https://", ""}, {"https://u:p@x", ""},
		{"http://http://127.0.0.1:8080", ""},
		{"https://Bücher.example", "https://xn--bcher-kva.example"},
		{"https://xn--bcher-kva.example:443", "https://xn--bcher-kva.example"},
		{"https://a\u202eb.example", ""},
	}
	for _, tt := range tests {
		got, err := Origin(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("Origin(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestParseAuthorized(t *testing.T) {
	a, b := newKey(t), newKey(t)
	agents, err := ParseAuthorized([]byte("# ours\n\n" + a.PublicLine("bench-1") + "\r\n" + b.PublicLine("") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(agents) != 2 || agents[0].Name != "bench-1" || agents[1].Name != b.Fingerprint() {
		t.Fatalf("got %+v", agents)
	}
	for name, text := range map[string]string{
		"line 2: not a public key": "# x\nssh-ed25519 AAAA\n",
		"line 2: SHA256:":          a.PublicLine("x") + "\n" + a.PublicLine("y"),
		"line 2: x is on line 1":   a.PublicLine("x") + "\n" + b.PublicLine("x"),
		"option":                   `command="rm" ` + a.PublicLine("x"),
	} {
		if _, err := ParseAuthorized([]byte(text)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error with %q, got %v", name, err)
		}
	}
}

// TestUnusableKeys: one key that cannot be used does not hide the others.
func TestUnusableKeys(t *testing.T) {
	good := newKey(t).PublicLine("bench")
	later := "ssh-later " + base64.StdEncoding.EncodeToString(append([]byte("\x00\x00\x00\x09ssh-later"), make([]byte, 40)...)) + " later"
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	short, err := ssh.NewPublicKey(weak.Public())
	if err != nil {
		t.Fatal(err)
	}
	security := "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIFn40HKPw6/nMDOZKWUgmEsmEq4yf8eqqtiHwO0uTKJXAAAABHNzaDo= me"
	list := []byte("\ufeff" + security + "\n" + good + "\n" + string(ssh.MarshalAuthorizedKey(short)) + later + "\n")
	var skipped []string
	agents, err := ParseUsable(list, func(err error) { skipped = append(skipped, err.Error()) })
	if err != nil || len(agents) != 1 || agents[0].Name != "bench" {
		t.Errorf("%+v, %v", agents, err)
	}
	for i, want := range []string{"line 1: the key cannot be used here: it is of the type sk-ssh-ed25519", "line 3: the key cannot be used here: it is an RSA key", "line 4: the key cannot be used here: it is of the type \"ssh-later\""} {
		if len(skipped) != 3 || !strings.Contains(skipped[i], want) {
			t.Errorf("skipped %q, want %q", skipped, want)
		}
	}
	if _, err := ParseAuthorized(list); !errors.Is(err, ErrUnusable) {
		t.Errorf("ParseAuthorized: %v", err)
	}
	if _, err := ParseUsable([]byte("ssh-later AAAA x\n"), func(error) {}); err == nil {
		t.Error("a damaged line was skipped")
	}
}

func FuzzParseAuthorized(f *testing.F) {
	key := newKey(f)
	f.Add([]byte(key.PublicLine("a b")))
	f.Add([]byte("# only\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		agents, err := ParseAuthorized(data)
		if err != nil {
			return
		}
		for _, a := range agents {
			if a.Key == nil || a.Name == "" || a.Fingerprint == "" {
				t.Fatalf("incomplete agent %+v", a)
			}
		}
	})
}
