//go:build unix

package session

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/provenance"
	"github.com/farforge/farforge/proxy-agent/build"
)

// newCachingWorld returns an agent whose recipe passes the cache to the script.
func newCachingWorld(t *testing.T, limits build.CacheLimits) *world {
	t.Helper()
	w := newWorld(t)
	w.recipe(strings.Replace(recipe, `"{out}"]`, "\"{out}\", \"{cache}\"]\ncache = true", 1))
	var err error
	if w.host.Caches, err = build.OpenCaches(w.host.Workspaces, w.host.Catalog(), limits); err != nil {
		t.Fatal(err)
	}
	return w
}

var plenty = build.CacheLimits{Number: 4, Bytes: 1 << 20}

// using starts a build of a script with a secret for its cache.
func (c *client) using(secret, script string) {
	c.t.Helper()
	c.send(&channel.Message{Type: channel.TypeBuild, Build: &channel.Build{Project: "test", Cache: secret}})
	files := map[string]string{"build.sh": script}
	_, err := channel.SendTree(c.t.Context(), c.open(channel.LabelSource), manifestOf(files), func(f channel.File) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(files[f.Path])), nil
	}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
}

// finds builds and returns what the cache held. After the job, it holds text.
func (w *world) finds(id, secret, text string, change ...func(*grant.Grant)) (found string, made *provenance.Build) {
	w.t.Helper()
	c := w.connect(w.t.Context(), allChannels, append(change, func(g *grant.Grant) { g.JobID = id })...)
	c.using(secret, `mkdir $1; cat $2/kept > $1/app.bin 2>/dev/null; echo `+text+` > $2/kept`)
	root, err := os.OpenRoot(w.t.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	defer root.Close()
	c.next(channel.TypeStage)
	c.next(channel.TypeStage)
	c.next(channel.TypeStage) // the artifacts
	if _, _, err := channel.ReceiveTree(w.t.Context(), c.open(channel.LabelFirmware), channel.NewDirSink(root), nil); err != nil {
		w.t.Fatal(err)
	}
	if r, _ := c.result(); r.Outcome != api.OutcomeSucceeded {
		w.t.Fatalf("result %+v, %+v", r, r.Problem)
	}
	if left := w.left(); len(left) > 0 {
		w.t.Errorf("left behind: %q", left)
	}
	image, err := root.ReadFile("app.bin")
	if err != nil {
		w.t.Fatal(err)
	}
	statement, err := root.ReadFile(provenance.FileName)
	if err != nil {
		w.t.Fatal(err)
	}
	if made, err = provenance.Parse(statement); err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(string(image)), made
}

func inProject(name string) func(*grant.Grant) { return func(g *grant.Grant) { g.Project = name } }

func TestCacheServesTheNextBuild(t *testing.T) {
	w := newCachingWorld(t, plenty)
	p := inProject("P")
	for i, c := range []struct {
		name, secret, leaves, want string
		change                     []func(*grant.Grant)
	}{
		{"the first", "s", "one", "", []func(*grant.Grant){p}},
		{"the second", "s", "two", "one", []func(*grant.Grant){p}},
		{"of another user", "s", "bad", "", []func(*grant.Grant){p, func(g *grant.Grant) { g.Subject = "other" }}},
		{"wrong secret", "t", "bad", "", []func(*grant.Grant){p}},
		{"no secret", "", "bad", "", []func(*grant.Grant){p}},
		{"of another project", "s", "bad", "", []func(*grant.Grant){inProject("Q")}},
		{"of no project", "s", "bad", "", nil},
		{"the third", "s", "three", "two", []func(*grant.Grant){p}},
	} {
		found, made := w.finds("01J"+string(rune('A'+i)), c.secret, c.leaves, c.change...)
		if found != c.want || made.Cached != (c.want != "") {
			t.Errorf("%s finds %q, and the statement says %v; want %q", c.name, found, made.Cached, c.want)
		}
	}
	warm := w.host.Caches.Warm()
	slices.Sort(warm)
	if want := []string{"P", "Q"}; !slices.Equal(warm, want) {
		t.Errorf("warm are %q", warm)
	}
}

func TestAgentWithoutCachesBuilds(t *testing.T) {
	w := newCachingWorld(t, plenty)
	w.host.Caches = nil
	for _, id := range []string{"01A", "01B"} {
		if found, _ := w.finds(id, "s", "x", inProject("P")); found != "" {
			t.Errorf("job %s finds %q", id, found)
		}
	}
	if kept, _ := filepath.Glob(w.dir + "/cache-*"); len(kept) > 0 {
		t.Errorf("kept: %q", kept)
	}
}

// TestWhichEndingsKeepTheCache starts with a cache and ends the next job in many
// ways.
func TestWhichEndingsKeepTheCache(t *testing.T) {
	for name, c := range map[string]struct {
		script  string
		stop    func(*client)
		outcome api.Outcome
		kept    bool
	}{
		"an error in the source": {script: "echo edited > $2/kept; exit 2", outcome: api.OutcomeBuildFailed, kept: true},
		"no artifacts":           {script: "echo edited > $2/kept", outcome: api.OutcomeBuildFailed, kept: true},
		"killed":                 {script: "echo edited > $2/kept; kill -9 $$", outcome: api.OutcomeBuildFailed},
		"emptied":                {script: "rm -r $2/*; exit 2", outcome: api.OutcomeBuildFailed},
		"too large":              {script: "head -c 1100000 /dev/zero > $2/big; exit 2", outcome: api.OutcomeBuildFailed},
		"canceled": {script: "echo edited > $2/kept; echo up; sleep 1000", outcome: api.OutcomeCanceled,
			stop: func(c *client) { c.untilLog("up"); c.send(&channel.Message{Type: channel.TypeCancel}) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCachingWorld(t, plenty)
			p := inProject("P")
			w.finds("01A", "s", "before", p)
			client := w.connect(t.Context(), allChannels, p, func(g *grant.Grant) { g.JobID = "01B" })
			client.using("s", c.script)
			if c.stop != nil {
				c.stop(client)
			}
			if r, _ := client.result(); r.Outcome != c.outcome {
				t.Fatalf("result %+v, %+v", r, r.Problem)
			}
			want := ""
			if c.kept {
				want = "edited"
			}
			if warm := w.host.Caches.Warm(); len(warm) == 1 != c.kept {
				t.Errorf("warm are %q", warm)
			}
			if found, _ := w.finds("01C", "s", "after", p); found != want {
				t.Errorf("the next build finds %q, want %q", found, want)
			}
		})
	}
}
