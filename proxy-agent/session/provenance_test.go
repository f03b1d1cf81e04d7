//go:build unix

package session

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/common/provenance"
)

// firmware receives the firmware tree into a directory.
func (c *client) firmware() string {
	c.t.Helper()
	dir := c.t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		c.t.Fatal(err)
	}
	defer root.Close()
	if _, _, err := channel.ReceiveTree(c.t.Context(), c.open(channel.LabelFirmware), channel.NewDirSink(root), nil); err != nil {
		c.t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestProvenanceComesWithTheArtifacts(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t.Context(), allChannels)
	files := map[string]string{"build.sh": "mkdir $1; cat src/main.c > $1/app.bin", "src/main.c": "int main;"}
	began := time.Now().Add(-time.Second)
	c.build(files)
	c.next(channel.TypeStage)
	c.next(channel.TypeStage)
	dir := c.firmware()
	result, ending := c.result()

	data, signature := read(t, dir, provenance.FileName), read(t, dir, provenance.SignatureName)
	got, err := provenance.Verify(w.host.Key.Public(), data, string(signature))
	if err != nil {
		t.Fatal(err)
	}
	if got.Started.Before(began) || got.Finished.Before(got.Started) || got.Finished.After(time.Now()) {
		t.Errorf("from %v to %v", got.Started, got.Finished)
	}
	want := &provenance.Build{
		JobID: "01JOB", User: "anonymous", Agent: w.host.Key.Fingerprint(),
		Source: provenance.SourceDigest(manifestOf(files)), Recipe: "script", Target: "esp32c3",
		Toolchain: "sh", Version: "1.0", Sandbox: w.host.Sandbox.Name(), Command: []string{"sh", "build.sh", "build"},
		Started: got.Started, Finished: got.Finished, Artifacts: result.Artifacts, AgentBuild: "test",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	var paths []string
	for _, a := range result.Artifacts {
		paths = append(paths, a.Path)
	}
	if !reflect.DeepEqual(paths, []string{"app.bin", flashmap.FileName}) || !reflect.DeepEqual(ending.Artifacts, result.Artifacts) {
		t.Errorf("artifacts %q, reported %v", paths, ending.Artifacts)
	}

	// Stock OpenSSH agrees.
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	if err := os.WriteFile(filepath.Join(dir, "known_agents"), []byte("anvil "+w.host.Key.PublicLine("")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	verify := func(statement []byte) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), keygen, "-Y", "verify", "-f", "known_agents", "-I", "anvil",
			"-n", provenance.Namespace, "-s", provenance.SignatureName)
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(statement)
		return cmd.CombinedOutput()
	}
	if out, err := verify(data); err != nil || !strings.Contains(string(out), `Good "build-provenance@farforge" signature for anvil`) {
		t.Errorf("ssh-keygen: %v: %s", err, out)
	}
	if out, err := verify(bytes.Replace(data, []byte("esp32c3"), []byte("esp32c6"), 1)); err == nil {
		t.Errorf("ssh-keygen accepts a statement that was tampered with: %s", out)
	}
}

// TestBuildsThatForgeTheProvenance runs builds that make files with the names of the
// agent's statement.
func TestBuildsThatForgeTheProvenance(t *testing.T) {
	recipe := strings.Replace(recipe, `files = ["*.bin"]`+"\n[flash]", `files = ["*.bin", "[pP]rovenance.*"]`+"\n[flash]", 1)
	for name, script := range map[string]string{
		"statement":       "mkdir $1; echo > $1/app.bin; echo '{}' > $1/provenance.json",
		"signature":       "mkdir $1; echo > $1/app.bin; echo mine > $1/provenance.json.sig",
		"in another case": "mkdir $1; echo > $1/app.bin; echo '{}' > $1/Provenance.JSON",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.recipe(recipe)
			c := w.connect(t.Context(), allChannels)
			c.build(map[string]string{"build.sh": script})
			r, _ := c.result()
			if r.Outcome != api.OutcomeBuildFailed || r.Problem == nil || r.Problem.Code != channel.ProblemNoArtifacts ||
				!strings.Contains(r.Problem.Message, "the agent's own statement about the build") {
				t.Errorf("result %+v, %+v", r, r.Problem)
			}
		})
	}
}
