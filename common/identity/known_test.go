package identity

import (
	"errors"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
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
		t.Fatalf("before the agent is known: %v", err)
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

func TestKnownAgentsKeepsComments(t *testing.T) {
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

// TestKnownLines reads lines as OpenSSH does, or refuses them.
func TestKnownLines(t *testing.T) {
	a, b := newKey(t), newKey(t)
	keyA, keyB := a.PublicLine(""), b.PublicLine("")
	const known, changed, unknown = "known", "changed", "unknown"
	for _, tt := range []struct{ line, want string }{
		{"vm@h " + keyA, known},
		{"vm@h\t" + keyA, known},
		{"\t vm@h \t " + keyA + "\tcomment", known},
		{"vm@h\t" + keyB, changed},
		{"x@y,vm@h " + keyB, changed},
		{"x@y,vm@h " + keyA, known},
		{"*@h " + keyA, known},
		{"v?@h " + keyB, changed},
		{"*@h,!vm@h " + keyB, unknown},
		{"!vm@h,*@h " + keyB, unknown},
		{`"vm@h" ` + keyA, known},
		{`"a b,vm@h" ` + keyB, changed},
		{`vm@h namespaces="*@farforge" ` + keyA, known},
		{`vm@h namespaces="*@farforge" ` + keyB, changed},
		{`vm@h Valid-After="20200101Z",valid-before="29991231Z" ` + keyA, known},
		{`vm@h valid-before="20200101" ` + keyA, "another time only"},
		{`vm@h valid-after="29990101Z" ` + keyA, "another time only"},
		{`vm@h namespaces="file" ` + keyA, "line 2: namespaces"},
		{`vm@h cert-authority ` + keyA, "line 2: cert-authority"},
		{`vm@h restrict ` + keyA, `line 2: the option "restrict" is unknown`},
		{`vm@h valid-before="x" ` + keyA, "line 2: valid-before"},
		{`vm@h valid-after="20210101",valid-before="20200101" ` + keyA, "line 2: valid-before is not later"},
		{"vm@h", "line 2: it has no public key"},
		{"vm@h nonsense", "line 2: no public key"},
		{keyA, "line 2: "},
		{`"vm@h ` + keyA, "line 2: the double quote"},
		{`v"m@h" ` + keyA, "line 2: it has a double quote"},
		{"vm@h,, " + keyA, "line 2: it has an empty name"},
		{"vm@h " + strings.Replace(keyA, "ssh-ed25519", "ssh-rsa", 1), "key type mismatch"},
	} {
		path := filepath.Join(t.TempDir(), "known_agents")
		if err := os.WriteFile(path, []byte("\ufeff# mine\n"+tt.line+"\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := NewKnownAgents(path).Check("vm@h", a.Public())
		var c *ChangedError
		got := ""
		switch {
		case err == nil:
			got = known
		case errors.As(err, &c):
			got = changed
		case errors.Is(err, ErrUnknownAgent):
			got = unknown
		default:
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.line, got, tt.want)
		}
	}
}

func TestForgetOneOfAList(t *testing.T) {
	a := newKey(t).PublicLine("note")
	for _, tt := range []struct{ before, after, fault string }{
		{"x@y,vm@h\t" + a, "x@y " + a, ""},
		{`"a b,vm@h" valid-after="2020" `, "", "line 1"},
		{`"a b,vm@h" valid-after="20200101" ` + a, `"a b" valid-after="20200101" ` + a, ""},
		{"*@h " + a, "*@h " + a, "names vm@h by a pattern; edit the line"},
		{"vm@h,!z@h " + a, "vm@h,!z@h " + a, "by a pattern"},
	} {
		path := filepath.Join(t.TempDir(), "known_agents")
		if err := os.WriteFile(path, []byte(tt.before+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := NewKnownAgents(path).Forget("vm@h")
		if (tt.fault == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.fault) || err == nil && n != 1 {
			t.Errorf("%s: %d, %v", tt.before, n, err)
		}
		if text, _ := os.ReadFile(path); tt.after != "" && string(text) != tt.after+"\n" {
			t.Errorf("%s: now\n%s", tt.before, text)
		}
	}
}

// TestKnownAgentsAsOpenSSH compares random lines with ssh-keygen: a key that is
// accepted here is accepted there, and an agent that a line names there is never
// unknown here. make fuzz sets FARFORGE_LONG for more lines.
func TestKnownAgentsAsOpenSSH(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	rounds := 60
	if os.Getenv("FARFORGE_LONG") != "" {
		rounds = 5000
	}
	const namespace = "build-provenance@farforge"
	dir := t.TempDir()
	a, b := newKey(t), newKey(t)
	signature, err := a.Sign(namespace, []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sig"), []byte(signature), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "known_agents")
	ssh := func(args ...string) bool {
		cmd := exec.CommandContext(t.Context(), keygen, args...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader("message")
		return cmd.Run() == nil
	}
	random := mathrand.New(mathrand.NewPCG(uint64(rounds), 1))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	good, other := a.PublicLine(""), b.PublicLine("")
	keys := []string{good, good, good, a.PublicLine("note"), other, other, other, "ssh-ed25519 AAAA", ""}
	accepted := 0
	for range rounds {
		var text strings.Builder
		for range 1 + random.IntN(2) {
			names := pick("vm@h", "x@y", "*@h", "v?@h", "!vm@h", "*", "VM@H", "vm@*")
			for range random.IntN(3) {
				names += "," + pick("vm@h", "x@y", "!vm@h", "*@h", "v*", "", "!")
			}
			names = pick(names, names, names, names, names, names, `"`+names+`"`, `"`+names, names+`"x"`)
			options := pick("", "", "", "", "", "", "", "", `namespaces="*@farforge"`, `namespaces="file"`, `namespaces=x`, "cert-authority",
				`valid-after="20200101"`, `valid-before="20200101Z"`, `VALID-BEFORE="299912312359"`, "restrict", `valid-after="20200101",valid-before="29990101"`)
			text.WriteString(pick("", " ", "\t") + names + pick(" ", "\t", "  ", " \t") + options + pick(" ", "\t") + pick(keys...) + pick("\n", "\r\n"))
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		err := NewKnownAgents(path).Check("vm@h", a.Public())
		there := ssh("-Y", "verify", "-f", path, "-I", "vm@h", "-n", namespace, "-s", "sig")
		if err == nil && !there {
			t.Errorf("accepted here and not by ssh-keygen:\n%s", text.String())
		}
		if errors.Is(err, ErrUnknownAgent) && (there || ssh("-Y", "match-principals", "-f", path, "-I", "vm@h")) {
			t.Errorf("named for ssh-keygen and unknown here:\n%s", text.String())
		}
		if err == nil {
			accepted++
		}
	}
	if accepted == 0 || accepted == rounds {
		t.Errorf("%d of %d files were accepted", accepted, rounds)
	}
}

func FuzzKnownAgents(f *testing.F) {
	key := newKey(f).PublicLine("")
	f.Add([]byte("bench-1@b " + key + "\n# x\n"))
	f.Add([]byte(`"a b,!c@*" valid-after="20200101",namespaces="*" ` + key))
	f.Add([]byte("\ufeffx@y\t" + key + "\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := parseKnown(data, "known_agents")
		for _, l := range lines {
			if err == nil && l.agent != nil && l.agent.Key == nil {
				t.Fatal("an agent without a key")
			}
		}
	})
}
