package identity

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestKnownAgents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config", "known_agents")
	known := NewKnownAgents(path)
	a, b := newKey(t), newKey(t)
	who := Principal("bench-1", "https://broker.example.org")
	if who != "bench-1@broker.example.org" {
		t.Fatal(who)
	}
	if err := known.Check(who, a.Public()); !errors.Is(err, ErrUnknownAgent) {
		t.Fatalf("before the first meeting: %v", err)
	}
	for range 2 {
		if err := known.Trust(who, a.Public()); err != nil {
			t.Fatal(err)
		}
	}
	if err := known.Check(who, a.Public()); err != nil {
		t.Fatal(err)
	}
	var changed *ChangedError
	for name, err := range map[string]error{"check": known.Check(who, b.Public()), "trust": known.Trust(who, b.Public())} {
		if !errors.As(err, &changed) || changed.Known != a.Fingerprint() || changed.Got != b.Fingerprint() || changed.Line != 1 {
			t.Errorf("%s with another key: %v", name, err)
		}
	}
	if err := known.Check("bench-1@other.example.org", a.Public()); !errors.Is(err, ErrUnknownAgent) {
		t.Errorf("the same name at another broker: %v", err)
	}
	agents, err := known.List()
	if err != nil || len(agents) != 1 {
		t.Fatalf("%v, %v", agents, err)
	}
	if n, err := known.Forget(who); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if err := known.Check(who, b.Public()); !errors.Is(err, ErrUnknownAgent) {
		t.Fatalf("after it was forgotten: %v", err)
	}
}

func TestKnownAgentsKeepsWhatItDoesNotUnderstand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known_agents")
	a := newKey(t)
	if err := os.WriteFile(path, []byte("# mine\n\nold@x "+a.PublicLine("")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := NewKnownAgents(path).Trust("new@x", a.Public()); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(data), "# mine\n\nold@x ") || strings.Count(string(data), "\n") != 4 {
		t.Fatalf("%s", data)
	}
	if err := os.WriteFile(path, []byte("# mine\nold@x nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := NewKnownAgents(path).Trust("new@x", a.Public()); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Fatalf("a broken file: %v", err)
	}
}

func TestKnownAgentsAreSharedByClients(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known_agents")
	key := newKey(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := NewKnownAgents(path).Trust(Principal(strings.Repeat("x", i+1), "https://b"), key.Public()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if agents, err := NewKnownAgents(path).List(); err != nil || len(agents) != 20 {
		t.Fatalf("%d agents, %v", len(agents), err)
	}
}

func TestPrincipalCannotBreakTheFile(t *testing.T) {
	evil := Principal("a\nb@c ssh-ed25519 AAAA,*", "https://x y")
	if strings.ContainsAny(evil, "\n ,*") || strings.Count(evil, "@") != 1 {
		t.Fatalf("%q", evil)
	}
}

func FuzzKnownAgents(f *testing.F) {
	f.Add([]byte("bench-1@b " + newKey(f).PublicLine("") + "\n# x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := parseKnown(data, "known_agents")
		for _, l := range lines {
			if err == nil && l.agent != nil && l.agent.Key == nil {
				t.Fatal("an agent without a key")
			}
		}
	})
}
