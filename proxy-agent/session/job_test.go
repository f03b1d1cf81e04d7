//go:build unix

package session

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/common/grant"
)

func TestJobFromSourceToArtifacts(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t.Context(), allChannels)
	c.build(map[string]string{
		"build.sh":   "echo compiling; echo warning >&2; mkdir $1; cat src/main.c > $1/app.bin",
		"src/main.c": "int main;",
	})
	if stage := c.next(channel.TypeStage).Stage; stage.Name != channel.StageSource {
		t.Errorf("first stage %+v", stage)
	}
	if stage := c.next(channel.TypeStage).Stage; stage.Name != channel.StageBuild || stage.Recipe != "script" ||
		stage.Target != "esp32c3" || stage.Toolchain != "sh" || stage.Version != "1.0" || strings.Join(stage.Command, " ") != "sh build.sh build" {
		t.Errorf("second stage %+v", stage)
	}
	streams := map[string]string{}
	for len(streams) < 2 {
		log := c.next(channel.TypeLog).Log
		streams[log.Stream] += strings.Join(log.Lines, "\n")
	}
	if streams["stdout"] != "compiling" || streams["stderr"] != "warning" {
		t.Errorf("log %q", streams)
	}
	if stage := c.next(channel.TypeStage).Stage; stage.Name != channel.StageArtifacts {
		t.Errorf("third stage %+v", stage)
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, _, err := channel.ReceiveTree(t.Context(), c.open(channel.LabelFirmware), channel.NewDirSink(root), nil); err != nil {
		t.Fatal(err)
	}
	result, ending := c.result()
	if result.Outcome != api.OutcomeSucceeded || result.Problem != nil || result.ExitCode != 0 ||
		len(result.Artifacts) != 2 || result.FlashMap != flashmap.FileName || result.SetupMS < 0 {
		t.Errorf("result %+v, %+v", result, result.Problem)
	}
	if ending.Outcome != api.OutcomeSucceeded || len(ending.Artifacts) != 2 || ending.Duration <= 0 {
		t.Errorf("ending %+v", ending)
	}
	if data, err := root.ReadFile("app.bin"); err != nil || string(data) != "int main;" {
		t.Errorf("app.bin %q, %v", data, err)
	}
	if data, err := root.ReadFile(flashmap.FileName); err != nil {
		t.Error(err)
	} else if m, err := flashmap.Parse(data); err != nil || m.Chip != "esp32c3" {
		t.Errorf("%+v, %v", m, err)
	}
	if left := w.left(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestJobsThatFail(t *testing.T) {
	for _, c := range []struct {
		name    string
		files   map[string]string
		outcome api.Outcome
		code    channel.ProblemCode
		exit    int
		says    string
	}{
		{"compiler error", map[string]string{"build.sh": "echo 'main.c:1: error' >&2; exit 2"},
			api.OutcomeBuildFailed, channel.ProblemBuildFailed, 2, "sh exited with 2"},
		{"killed", map[string]string{"build.sh": "kill -9 $$"},
			api.OutcomeBuildFailed, channel.ProblemBuildFailed, 137, "killed"},
		{"nothing built", map[string]string{"build.sh": "true"},
			api.OutcomeBuildFailed, channel.ProblemNoArtifacts, 0, "no directory build"},
		{"no recipe", map[string]string{"main.c": ""},
			api.OutcomeRefused, channel.ProblemNoRecipe, 0, "no recipe on this agent recognizes the project"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			client := w.connect(t.Context(), allChannels)
			client.build(c.files)
			r, ending := client.result()
			if r.Outcome != c.outcome || ending.Outcome != c.outcome || r.ExitCode != c.exit || r.Problem == nil ||
				r.Problem.Code != c.code || !strings.Contains(r.Problem.Message, c.says) {
				t.Errorf("result %+v, %+v", r, r.Problem)
			}
			if len(r.Artifacts) > 0 || len(w.left()) > 0 {
				t.Errorf("artifacts %v, left behind %q", r.Artifacts, w.left())
			}
		})
	}
}

// TestHostileManifests sends manifests that SendTree would refuse to send.
func TestHostileManifests(t *testing.T) {
	hash := strings.Repeat("0", 64)
	file := func(path string) channel.File { return channel.File{Path: path, Kind: channel.KindFile, SHA256: hash} }
	for name, files := range map[string][]channel.File{
		"parent":             {file("../escaped")},
		"parent inside":      {file("a/../../escaped")},
		"absolute":           {file("/tmp/escaped")},
		"backslash":          {file(`..\escaped`)},
		"device":             {{Path: "dev", Kind: "device"}},
		"symlink out":        {{Path: "link", Kind: channel.KindSymlink, Link: "../../escaped"}},
		"absolute symlink":   {{Path: "link", Kind: channel.KindSymlink, Link: "/etc"}},
		"below a symlink":    {{Path: "link", Kind: channel.KindSymlink, Link: "."}, file("link/x")},
		"differ in case":     {file("Makefile"), file("makefile")},
		"twice":              {file("x"), file("x")},
		"nothing":            {},
		"enormous":           {{Path: "x", Kind: channel.KindFile, SHA256: hash, Size: 1 << 50}},
		"hash is not a hash": {{Path: "x", Kind: channel.KindFile, SHA256: "../" + hash[3:]}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.connect(t.Context(), allChannels)
			c.send(&channel.Message{Type: channel.TypeBuild, Build: &channel.Build{}})
			data, err := json.Marshal(channel.Manifest{Files: files})
			if err != nil {
				t.Fatal(err)
			}
			source := c.open(channel.LabelSource)
			if err := channel.WriteObject(t.Context(), source, channel.ObjectManifest, int64(len(data)), strings.NewReader(string(data))); err != nil {
				t.Fatal(err)
			}
			r, _ := c.result()
			if r.Outcome != api.OutcomeRefused || r.Problem == nil ||
				(r.Problem.Code != channel.ProblemManifest && r.Problem.Code != channel.ProblemSizeLimit) {
				t.Errorf("result %+v, %+v", r, r.Problem)
			}
			if found, _ := filepath.Glob(filepath.Join(w.dir, "*escaped*")); len(found) > 0 || len(w.left()) > 0 {
				t.Errorf("found %q, left %q", found, w.left())
			}
		})
	}
}

func TestContentWithAnotherHash(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t.Context(), allChannels)
	c.send(&channel.Message{Type: channel.TypeBuild, Build: &channel.Build{}})
	hash := strings.Repeat("a", 64)
	data, err := json.Marshal(channel.Manifest{Files: []channel.File{{Path: "build.sh", Kind: channel.KindFile, Size: 4, SHA256: hash}}})
	if err != nil {
		t.Fatal(err)
	}
	source := c.open(channel.LabelSource)
	write := func(kind channel.ObjectKind, text string) {
		t.Helper()
		if err := channel.WriteObject(t.Context(), source, kind, int64(len(text)), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	write(channel.ObjectManifest, string(data))
	err = channel.ReadObject(t.Context(), source, channel.ObjectNeed, 1000, func(_ int64, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	write(channel.ObjectContents, "true")
	if r, _ := c.result(); r.Outcome != api.OutcomeRefused || r.Problem.Code != channel.ProblemContent {
		t.Errorf("result %+v, %+v", r, r.Problem)
	}
}

func TestUngrantedChannels(t *testing.T) {
	w := newWorld(t)
	t.Run("is closed with a reason and the job goes on", func(t *testing.T) {
		c := w.connect(t.Context(), append([]string{"pty"}, allChannels...))
		p := c.next(channel.TypeProblem).Problem
		if p.Code != channel.ProblemUngranted || !strings.Contains(p.Message, `"pty"`) {
			t.Errorf("problem %+v", p)
		}
		if _, err := c.open("pty").ReadMessage(t.Context()); err == nil {
			t.Error("the channel is open")
		}
		c.build(map[string]string{"build.sh": "exit 3"})
		if r, _ := c.result(); r.ExitCode != 3 {
			t.Errorf("result %+v", r)
		}
	})
	t.Run("is needed for the job", func(t *testing.T) {
		c := w.connect(t.Context(), []string{channel.LabelControl}, func(g *grant.Grant) {
			g.JobID, g.Channels = "01B", []string{channel.LabelControl}
		})
		c.send(&channel.Message{Type: channel.TypeBuild, Build: &channel.Build{}})
		if r, _ := c.result(); r.Outcome != api.OutcomeRefused || r.Problem.Code != channel.ProblemUngranted {
			t.Errorf("result %+v, %+v", r, r.Problem)
		}
	})
}

func TestMalformedControlMessages(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t.Context(), allChannels)
	if err := c.control.WriteMessage(context.Background(), []byte("{nonsense")); err != nil {
		t.Fatal(err)
	}
	if p := c.next(channel.TypeProblem).Problem; p.Code != channel.ProblemMalformed {
		t.Errorf("problem %+v", p)
	}
	c.send(&channel.Message{Type: "from the future"})
	c.build(map[string]string{"build.sh": "echo up; sleep 1000"})
	c.untilLog("up")
	c.send(&channel.Message{Type: channel.TypeBuild, Build: &channel.Build{}})
	if p := c.next(channel.TypeProblem).Problem; p.Code != channel.ProblemMalformed || !strings.Contains(p.Message, "builds once") {
		t.Errorf("problem %+v", p)
	}
	for range maxMalformed + 1 {
		if err := c.control.WriteMessage(context.Background(), []byte("!")); err != nil {
			t.Fatal(err)
		}
	}
	for {
		msg, err := channel.ReadControl(t.Context(), c.control)
		if err != nil {
			t.Fatal(err)
		}
		if msg.Type == channel.TypeResult {
			if msg.Result.Outcome != api.OutcomeCanceled {
				t.Errorf("result %+v", msg.Result)
			}
			return
		}
	}
}
