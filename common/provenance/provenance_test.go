package provenance

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/identity"
)

func newKey(t testing.TB) *identity.Key {
	t.Helper()
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "id"), "")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sample(agent *identity.Key) *Build {
	return &Build{
		JobID: "01J", User: "anonymous", Agent: agent.Fingerprint(), Source: strings.Repeat("ab", 32),
		Recipe: "r", Target: "esp32c3", Toolchain: "gcc", Version: "12.2.0", Sandbox: "bubblewrap",
		Command: []string{"make", "-j2"}, Cached: true, AgentBuild: "v1",
		Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Finished: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
		Artifacts: []api.Artifact{{Path: "app.bin", Size: 3, SHA256: strings.Repeat("cd", 32)}},
	}
}

func TestStatementRoundTrip(t *testing.T) {
	key := newKey(t)
	want := sample(key)
	data, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	signature, err := Sign(key, data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Verify(key.Public(), data, signature)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if err := got.CheckArtifacts(append(want.Artifacts, api.Artifact{Path: FileName})); err != nil {
		t.Fatal(err)
	}
}

func TestStatementsThatAreRefused(t *testing.T) {
	key, other := newKey(t), newKey(t)
	data, _ := sample(key).Marshal()
	signature, _ := Sign(key, data)
	foreign, _ := sample(key).Marshal() // names key, signed by other
	foreignSignature, _ := Sign(other, foreign)
	report, _ := key.Sign(identity.NamespaceReport, data)
	for name, try := range map[string]func() (*Build, error){
		"tampered": func() (*Build, error) {
			return Verify(key.Public(), bytes.Replace(data, []byte("12.2.0"), []byte("12.2.1"), 1), signature)
		},
		"other key":       func() (*Build, error) { return Verify(other.Public(), data, signature) },
		"other builder":   func() (*Build, error) { return Verify(other.Public(), foreign, foreignSignature) },
		"other namespace": func() (*Build, error) { return Verify(key.Public(), data, report) },
		"no signature":    func() (*Build, error) { return Verify(key.Public(), data, "") },
		"no statement":    func() (*Build, error) { return Parse([]byte(`{"_type":"x"}`)) },
		"no JSON":         func() (*Build, error) { return Parse([]byte("x")) },
	} {
		if _, err := try(); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestArtifactsThatDiffer(t *testing.T) {
	b := sample(newKey(t))
	good := b.Artifacts[0]
	changed := good
	changed.SHA256 = strings.Repeat("ef", 32)
	for name, there := range map[string][]api.Artifact{
		"missing":      nil,
		"changed":      {changed},
		"one too many": {good, {Path: "other.bin", SHA256: good.SHA256}},
	} {
		if err := b.CheckArtifacts(there); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSourceDigestNamesTheTree(t *testing.T) {
	a := channel.File{Path: "a", Kind: channel.KindFile, SHA256: strings.Repeat("1", 64)}
	b := channel.File{Path: "b", Kind: channel.KindSymlink, Link: "a"}
	x := SourceDigest(&channel.Manifest{Files: []channel.File{a, b}})
	if y := SourceDigest(&channel.Manifest{Files: []channel.File{b, a}}); x != y {
		t.Error("the order of sending changes the digest")
	}
	exec := a
	exec.Kind = channel.KindExecutable
	for name, files := range map[string][]channel.File{"mode": {exec, b}, "fewer": {a}} {
		if SourceDigest(&channel.Manifest{Files: files}) == x {
			t.Errorf("%s: same digest", name)
		}
	}
}

// TestOpenSSHVerifies runs the command of the package comment.
func TestOpenSSHVerifies(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	dir, key := t.TempDir(), newKey(t)
	data, _ := sample(key).Marshal()
	signature, _ := Sign(key, data)
	for name, text := range map[string]string{"known_agents": "bench-1 " + key.PublicLine("") + "\n", SignatureName: signature} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(data []byte) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), keygen, "-Y", "verify", "-f", "known_agents", "-I", "bench-1", "-n", Namespace, "-s", SignatureName)
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(data)
		return cmd.CombinedOutput()
	}
	if out, err := verify(data); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := verify(append(data, ' ')); err == nil {
		t.Fatal("ssh-keygen accepted a tampered statement")
	}
}

func FuzzParse(f *testing.F) {
	data, _ := sample(newKey(f)).Marshal()
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := Parse(data); err == nil && b == nil {
			t.Fatal("nothing was parsed without an error")
		}
	})
}
