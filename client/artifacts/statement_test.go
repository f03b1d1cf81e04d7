package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/provenance"
)

const job, source = "01JD3V5Q2M8X4Y7Z9A0B1C2D3E", "5353"

func newKey(t *testing.T) *identity.Key {
	t.Helper()
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "key"), "")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signed stores files with a statement that the key has signed. change can modify
// the statement before it is signed.
func signed(t *testing.T, state *os.Root, key *identity.Key, files map[string]string, change func(*provenance.Build)) (*Incoming, *channel.Manifest, *channel.Result) {
	t.Helper()
	b := &provenance.Build{
		JobID: job, Agent: key.Fingerprint(), Source: source, Recipe: "make", Target: "esp32c3",
		Toolchain: "esp-idf", Version: "5.3.1", Started: time.Now(), Finished: time.Now(),
	}
	for name, text := range files {
		b.Artifacts = append(b.Artifacts, artifactOf(name, text))
	}
	if change != nil {
		change(b)
	}
	data, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	signature, err := provenance.Sign(key, data)
	if err != nil {
		t.Fatal(err)
	}
	all := maps.Clone(files)
	all[provenance.FileName], all[provenance.SignatureName] = string(data), signature
	in, m, result := arrive(t, state, all)
	kept := result.Artifacts[:0]
	for _, a := range result.Artifacts {
		if !isStatement(a.Path) {
			kept = append(kept, a)
		}
	}
	result.Artifacts = kept
	return in, m, result
}

func artifactOf(name, text string) api.Artifact {
	sum := sha256.Sum256([]byte(text))
	return api.Artifact{Path: name, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])}
}

// TestStatementsThatDoNotHold: the client refuses artifacts with a wrong statement,
// and keeps those of the last build.
func TestStatementsThatDoNotHold(t *testing.T) {
	agent, other := newKey(t), newKey(t)
	files := map[string]string{"hello.bin": "1", "hello.elf": "2"}
	tests := []struct {
		name   string
		signs  *identity.Key
		change func(*provenance.Build)
		want   Expected
		says   string
	}{
		{"another agent's", other, nil, Expected{}, "check the signature of " + agent.Fingerprint()},
		{"another agent named as builder", agent, func(b *provenance.Build) { b.Agent = other.Fingerprint() }, Expected{}, "signed a statement about"},
		{"another job's", agent, func(b *provenance.Build) { b.JobID = "01JD3V5Q2M8X4Y7Z9A0B1C2D3F" }, Expected{}, "about the job"},
		{"another source", agent, func(b *provenance.Build) { b.Source = "5454" }, Expected{}, `about the source "5454", not "5353"`},
		{"another recipe", agent, nil, Expected{Recipe: "cmake"}, `about the recipe "make", not "cmake"`},
		{"another target", agent, nil, Expected{Target: "esp32"}, `about the target "esp32c3", not "esp32"`},
		{"another toolchain", agent, nil, Expected{Toolchain: "gcc"}, `about the toolchain "esp-idf", not "gcc"`},
		{"another version", agent, nil, Expected{Toolchain: "esp-idf@5.4"}, "about esp-idf 5.3.1, not 5.4"},
		{"an artifact too many", agent, func(b *provenance.Build) { b.Artifacts = b.Artifacts[1:] }, Expected{}, "the agent did not sign"},
		{"an artifact too few", agent, func(b *provenance.Build) { b.Artifacts = append(b.Artifacts, api.Artifact{Path: "x", SHA256: "y"}) }, Expected{}, "x is missing"},
		{"another artifact", agent, func(b *provenance.Build) { b.Artifacts[0].SHA256 = strings.Repeat("0", 64) }, Expected{}, "the agent signed 0000"},
		{"unsigned allowed, and wrong", other, nil, Expected{AllowUnsigned: true}, "check the signature"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state := newState(t)
			in, m, result := arrive(t, state, map[string]string{"old.bin": "x"})
			if _, err := in.Keep(m, result, &Expected{AllowUnsigned: true}); err != nil {
				t.Fatal(err)
			}
			in, m, result = signed(t, state, tt.signs, files, tt.change)
			tt.want.Key, tt.want.JobID, tt.want.Source = agent.Public(), job, source
			_, err := in.Keep(m, result, &tt.want)
			if cli.Code(err) != cli.Verification || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			only(t, state, OutName)
			if _, err := state.Stat(OutName + "/old.bin"); err != nil {
				t.Errorf("the last build is gone: %v", err)
			}
		})
	}
}

func TestArtifactsWithoutAStatement(t *testing.T) {
	agent, state := newKey(t), newState(t)
	files := map[string]string{"hello.bin": "1", "boot.bin": "b", "flasher_args.json": flashMap}
	in, m, result := arrive(t, state, files)
	_, err := in.Keep(m, result, &Expected{Key: agent.Public()})
	var e *cli.Error
	if !errors.As(err, &e) || e.Exit != cli.Verification || !strings.Contains(err.Error(), "no agent has signed these artifacts") || !strings.Contains(strings.Join(e.Hints, "\n"), "--allow-unsigned") {
		t.Errorf("got %v", err)
	}
	for _, half := range []string{provenance.FileName, provenance.SignatureName} {
		in, m, result := arrive(t, state, map[string]string{"hello.bin": "1", half: "{}"})
		if _, err := in.Keep(m, result, &Expected{Key: agent.Public(), AllowUnsigned: true}); cli.Code(err) != cli.Verification || !strings.Contains(err.Error(), half+" is there without") {
			t.Errorf("with %s alone: %v", half, err)
		}
	}
	in, m, result = arrive(t, state, files)
	set, err := in.Keep(m, result, &Expected{Key: agent.Public(), AllowUnsigned: true})
	if err != nil || set.Statement != nil {
		t.Fatalf("%+v, %v", set, err)
	}
	// The client has written their digests, and compares them before it flashes.
	name := filepath.Base(state.Name())
	known := identity.NewKnownAgents(filepath.Join(t.TempDir(), "known_agents"))
	load := func() (*Firmware, error) {
		return LoadFirmware(filepath.Join(set.Dir, "flasher_args.json"), name, known)
	}
	if fw, err := load(); err != nil || len(fw.By) != 0 || image(t, fw, "hello.bin") != "1" {
		t.Errorf("%+v, %v", fw, err)
	}
	if err := os.WriteFile(filepath.Join(set.Dir, "hello.bin"), []byte("2"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := load(); cli.Code(err) != cli.Verification || !strings.Contains(err.Error(), "hello.bin has the SHA-256") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(filepath.Join(set.Dir, SumsName)); err != nil {
		t.Fatal(err)
	}
	if _, err := load(); cli.Code(err) != cli.Verification || !strings.Contains(err.Error(), "are missing") {
		t.Errorf("without the list: %v", err)
	}
	if _, err := Verify(filepath.Dir(state.Name()), name, known); cli.Code(err) != cli.Verification || !strings.Contains(err.Error(), "no agent has signed") {
		t.Errorf("got %v", err)
	}
}

// kept stores a signed build, and a known_agents file with its agent.
func kept(t *testing.T) (set *Set, state string, known *identity.KnownAgents) {
	t.Helper()
	root, agent := newState(t), newKey(t)
	in, m, result := signed(t, root, agent, map[string]string{"hello.bin": "1", "boot.bin": "b", "flasher_args.json": flashMap}, nil)
	result.FlashMap = "flasher_args.json"
	set, err := in.Keep(m, result, &Expected{Key: agent.Public(), JobID: job, Source: source, Recipe: "make", Target: "esp32c3", Toolchain: "esp-idf@5.3"})
	if err != nil {
		t.Fatal(err)
	}
	known = identity.NewKnownAgents(filepath.Join(t.TempDir(), "known_agents"))
	for _, principal := range []string{"bench@one.example", "bench@two.example"} {
		if err := known.Trust(principal, agent.Public()); err != nil {
			t.Fatal(err)
		}
	}
	if err := known.Trust("other@one.example", newKey(t).Public()); err != nil {
		t.Fatal(err)
	}
	return set, root.Name(), known
}

func TestVerifyAgain(t *testing.T) {
	set, state, known := kept(t)
	project, name := filepath.Dir(state), filepath.Base(state)
	copies := filepath.Join(t.TempDir(), "copies")
	if err := set.CopyTo(copies); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{project, set.Dir, copies} {
		v, err := Verify(what, name, known)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(v.By, " ") != "bench@one.example bench@two.example" || v.Statement.Recipe != "make" || len(v.Statement.Artifacts) != 3 || len(v.Beside) != 0 {
			t.Errorf("%+v", v)
		}
		at, err := FindMap(what, name)
		if err != nil {
			t.Fatal(err)
		}
		if fw, err := LoadFirmware(at, name, known); err != nil || len(fw.By) != 2 || image(t, fw, "hello.bin") != "1" {
			t.Errorf("%+v, %v", fw, err)
		}
	}
	// Other files in a folder of the user's are reported, and cannot be flashed.
	if err := os.WriteFile(filepath.Join(copies, "notes.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if v, err := Verify(copies, name, known); err != nil || len(v.Beside) != 1 || v.Beside[0] != "notes.txt" {
		t.Errorf("%+v, %v", v, err)
	}
	other := filepath.Join(copies, "other.json")
	if err := os.WriteFile(other, []byte(flashMap), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadFirmware(other, name, known); cli.Code(err) != cli.Verification || !strings.Contains(err.Error(), "other.json would be flashed") {
		t.Errorf("got %v", err)
	}
}

// image returns the contents of one of the firmware's images.
func image(t *testing.T, fw *Firmware, name string) string {
	t.Helper()
	data, err := fs.ReadFile(fw.Files, name)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

// TestTamperedFolders: Verify and LoadFirmware detect every change, without the network.
func TestTamperedFolders(t *testing.T) {
	write := func(name, text string) func(string, *identity.KnownAgents) error {
		return func(dir string, _ *identity.KnownAgents) error {
			return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
		}
	}
	tests := []struct {
		name   string
		tamper func(dir string, known *identity.KnownAgents) error
		want   string
	}{
		{"artifact", write("hello.bin", "2"), "hello.bin has the SHA-256"},
		{"flash map", write("flasher_args.json", "{}"), "flasher_args.json has the SHA-256"},
		{"another file", write("evil.bin", "x"), "the agent did not sign evil.bin"},
		{"signature", write(provenance.SignatureName, "x"), "read the signature"},
		{"invalid statement", write(provenance.FileName, "{}"), "the build's provenance does not hold"},
		{"one byte of the statement", func(dir string, _ *identity.KnownAgents) error {
			at := filepath.Join(dir, provenance.FileName)
			text, err := os.ReadFile(at)
			if err != nil {
				return err
			}
			return os.WriteFile(at, []byte(strings.Replace(string(text), `"make"`, `"Make"`, 1)), 0o644)
		}, "check the signature of"},
		{"missing artifact", func(dir string, _ *identity.KnownAgents) error { return os.Remove(filepath.Join(dir, "boot.bin")) }, "boot.bin is missing"},
		{"missing signature", func(dir string, _ *identity.KnownAgents) error {
			return os.Remove(filepath.Join(dir, provenance.SignatureName))
		}, "is there without"},
		{"symlink", func(dir string, _ *identity.KnownAgents) error {
			at := filepath.Join(dir, "hello.bin")
			return errors.Join(os.Remove(at), os.Symlink("boot.bin", at))
		}, "hello.bin is not a regular file"},
		{"forgotten agent", func(_ string, known *identity.KnownAgents) error {
			_, err := known.Forget("bench@one.example")
			_, err2 := known.Forget("bench@two.example")
			return errors.Join(err, err2)
		}, "is not among the known agents"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, state, known := kept(t)
			if err := tt.tamper(set.Dir, known); err != nil {
				t.Fatal(err)
			}
			_, err := Verify(filepath.Dir(state), filepath.Base(state), known)
			if cli.Code(err) != cli.Verification || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("verify: %v, want %q", err, tt.want)
			}
			if _, err := LoadFirmware(set.Path(set.FlashMap), filepath.Base(state), known); cli.Code(err) != cli.Verification {
				t.Errorf("before flashing: %v", err)
			}
		})
	}
}

// TestStockOpenSSHAcceptsWhatIsKept: ssh-keygen verifies the files on the disk.
func TestStockOpenSSHAcceptsWhatIsKept(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	set, _, known := kept(t)
	verify := func(principal string) (string, error) {
		statement, err := os.Open(set.Path(provenance.FileName))
		if err != nil {
			t.Fatal(err)
		}
		defer statement.Close()
		cmd := exec.Command(keygen, "-Y", "verify", "-f", known.Path(), "-I", principal, "-n", provenance.Namespace, "-s", set.Path(provenance.SignatureName))
		cmd.Stdin = statement
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := verify("bench@one.example"); err != nil || !strings.HasPrefix(out, `Good "build-provenance@farforge" signature for bench@one.example`) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := verify("other@one.example"); err == nil {
		t.Errorf("it accepts another agent: %s", out)
	}
	if err := os.WriteFile(set.Path(provenance.FileName), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := verify("bench@one.example"); err == nil {
		t.Errorf("it accepts another statement: %s", out)
	}
}
