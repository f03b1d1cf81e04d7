package trust

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
)

func newAgents(t *testing.T) *Agents {
	t.Helper()
	return &Agents{Known: identity.NewKnownAgents(filepath.Join(t.TempDir(), "sub", FileName)), Broker: "https://broker.example.org"}
}

func newKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "key"), "")
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

func TestDefaultFile(t *testing.T) {
	xdg := t.TempDir()
	for given, want := range map[string]string{xdg: filepath.Join(xdg, "farforge", "known_agents"), "relative": ""} {
		got, err := DefaultFile(func(string) string { return given })
		if err != nil || want != "" && got != want || strings.HasPrefix(got, "relative") {
			t.Errorf("XDG_CONFIG_HOME=%s: %s, %v", given, got, err)
		}
	}
}

// TestFirstMeeting: Vet alone adds no agent, because the agent has not proved its identity
// yet.
func TestFirstMeeting(t *testing.T) {
	a, key := newAgents(t), newKey(t)
	if err := a.Vet("bench", key); err != nil {
		t.Fatal(err)
	}
	if known, err := a.Known.List(); err != nil || len(known) != 0 {
		t.Fatalf("%+v, %v", known, err)
	}
	for _, want := range []bool{true, false} {
		if first, err := a.Meet("bench", key); err != nil || first != want {
			t.Errorf("first %v, %v", first, err)
		}
	}
	if info, err := os.Stat(a.Known.Path()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// The same name at another broker is another agent.
	elsewhere := &Agents{Known: a.Known, Broker: "https://other.example.org"}
	if first, err := elsewhere.Meet("bench", newKey(t)); err != nil || !first {
		t.Errorf("first %v, %v", first, err)
	}
}

// TestRefused: the message has all that a user needs to judge it.
func TestRefused(t *testing.T) {
	a, known, other := newAgents(t), newKey(t), newKey(t)
	if _, err := a.Meet("bench", known); err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weakKey, err := ssh.NewPublicKey(weak.Public())
	if err != nil {
		t.Fatal(err)
	}
	strict := &Agents{Known: a.Known, Broker: a.Broker, Strict: true}
	meet := func(name string, key ssh.PublicKey) error { _, err := a.Meet(name, key); return err }
	for _, tt := range []struct {
		name string
		err  error
		want []string
	}{
		{"changed", a.Vet("bench", other), []string{
			"WARNING: THE IDENTITY OF THE AGENT bench@broker.example.org HAS CHANGED", ssh.FingerprintSHA256(known), ssh.FingerprintSHA256(other),
			a.Known.Path() + ", line 1", "client agents forget --known-agents '" + a.Known.Path() + "' bench@broker.example.org",
		}},
		{"changed while connecting", meet("bench", other), []string{"HAS CHANGED"}},
		{"changed, with --strict-agents", strict.Vet("bench", other), []string{"HAS CHANGED"}},
		{"unknown, with --strict-agents", strict.Vet("new", other), []string{"new@broker.example.org is not known", ssh.FingerprintSHA256(other), "client agents trust", publicLine(other)}},
		{"weak key", a.Vet("weak", weakKey), []string{"an RSA key of fewer than 3072 bits"}},
		{"by hand", Remember(a.Known, "bench@broker.example.org", other), []string{"is trusted with another key already", "client agents forget"}},
	} {
		var e *cli.Error
		if !errors.As(tt.err, &e) || e.Exit != cli.Verification {
			t.Errorf("%s: %v", tt.name, tt.err)
			continue
		}
		text := e.Error() + "\n" + strings.Join(e.Hints, "\n")
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in\n%s", tt.name, want, text)
			}
		}
	}
	if err := Remember(a.Known, "bench@broker.example.org", known); err != nil {
		t.Errorf("the same key again: %v", err)
	}
}

// TestHostileNames: a broker chooses the names of agents, and cannot add lines to the
// user's file with them.
func TestHostileNames(t *testing.T) {
	a, key := newAgents(t), newKey(t)
	for _, name := range []string{"x\nbench@other.example.org ssh-ed25519 AAAA", "*", "a,b", "# x", "bench@other.example.org"} {
		if _, err := a.Meet(name, key); err != nil {
			t.Fatal(err)
		}
	}
	known, err := a.Known.List()
	if err != nil || len(known) != 5 {
		t.Fatalf("%+v, %v", known, err)
	}
	for _, k := range known {
		name, broker, _ := strings.Cut(k.Principal, "@")
		if broker != "broker.example.org" || strings.ContainsAny(name, "*,# \n") {
			t.Errorf("listed as %q", k.Principal)
		}
	}
}
