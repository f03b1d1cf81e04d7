//go:build unix

package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
)

// keeper is an agent's caches and catalog.
type keeper struct {
	*Caches
	t       *testing.T
	dir     string
	ws      *Workspaces
	catalog *Catalog
}

var plenty = CacheLimits{Number: 16, Bytes: 1 << 30}

func newKeeper(t *testing.T, limits CacheLimits) *keeper {
	t.Helper()
	r := parse(t, caching)
	r.Targets = append(r.Targets, "esp32c3")
	k := &keeper{t: t, dir: t.TempDir(), catalog: &Catalog{Entries: []Entry{{Recipe: r, Version: "12.2"}}}}
	k.start(limits)
	t.Cleanup(func() { k.ws.Close() })
	return k
}

func (k *keeper) start(limits CacheLimits) {
	k.t.Helper()
	var err error
	if k.ws, err = OpenWorkspaces(k.dir, nil); err != nil {
		k.t.Fatal(err)
	}
	if k.Caches, err = OpenCaches(k.ws, k.catalog, limits); err != nil {
		k.t.Fatal(err)
	}
}

// restart opens the caches again, like the agent's next process.
func (k *keeper) restart(limits CacheLimits) {
	k.t.Helper()
	k.ws.Close()
	k.start(limits)
}

func owner(project string) Owner {
	return Owner{Issuer: "https://broker.example.org", Subject: "ann", Project: project, Secret: "secret"}
}

func (k *keeper) choice() *Choice { return &Choice{Entry: k.catalog.Entries[0], Target: "esp32"} }

func (k *keeper) take(o Owner, choice *Choice) *Cache {
	k.t.Helper()
	c, err := k.Take(o, choice)
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

// object returns the text that a build has left in the cache, or "".
func object(t *testing.T, c *Cache) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.Dir, "object"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

// leave writes text into the cache, as a build would, and keeps the cache.
func leave(t *testing.T, c *Cache, text string) error {
	t.Helper()
	write(t, filepath.Join(c.Dir, "object"), text)
	kept := c.Keep()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	return kept
}

// build runs a job that leaves text, and returns the text that it found.
func (k *keeper) build(project, text string) (found string) {
	k.t.Helper()
	c := k.take(owner(project), k.choice())
	found = object(k.t, c)
	if (found != "") != c.Warm() {
		k.t.Errorf("it finds %q, and Warm returns %v", found, c.Warm())
	}
	if err := leave(k.t, c, text); err != nil {
		k.t.Errorf("not kept: %v", err)
	}
	return found
}

// wants checks that exactly these projects are warm, each with one folder.
func (k *keeper) wants(projects ...string) {
	k.t.Helper()
	if got := k.Warm(); got == nil || !slices.Equal(got, projects) {
		k.t.Errorf("warm are %q, want %q", got, projects)
	}
	found, err := filepath.Glob(k.dir + "/*")
	if err != nil || len(found) != len(projects)+1 { // the lock
		k.t.Errorf("for %d projects there are %q, %v", len(projects), found, err)
	}
}

func TestCacheOutlivesItsJob(t *testing.T) {
	k := newKeeper(t, plenty)
	k.wants()
	if got := k.build("p", "first"); got != "" {
		t.Errorf("the first build finds %q", got)
	}
	k.wants("p")
	k.build("q", "other")
	k.wants("q", "p")
	if got := k.build("p", "second"); got != "first" {
		t.Errorf("the second build finds %q", got)
	}
	k.wants("p", "q")
	k.restart(plenty)
	k.wants("p", "q")
	if got := k.build("p", "third"); got != "second" {
		t.Errorf("after a restart a build finds %q", got)
	}
}

// TestCacheHasOneOwner runs jobs that differ from the owner in one field each: they
// find an empty cache and leave the owner's alone.
func TestCacheHasOneOwner(t *testing.T) {
	k := newKeeper(t, plenty)
	k.build("p", "ours")
	for name, change := range map[string]func(*Owner, *Choice){
		"another user":      func(o *Owner, _ *Choice) { o.Subject = "bob" },
		"another broker":    func(o *Owner, _ *Choice) { o.Issuer = "https://other.example.org" },
		"another project":   func(o *Owner, _ *Choice) { o.Project = "q" },
		"a guessed secret":  func(o *Owner, _ *Choice) { o.Secret = "guess" },
		"no secret":         func(o *Owner, _ *Choice) { o.Secret = "" },
		"no project":        func(o *Owner, _ *Choice) { o.Project = "" },
		"no user":           func(o *Owner, _ *Choice) { o.Subject = "" },
		"the same together": func(o *Owner, _ *Choice) { o.Subject, o.Project = "an", "np" },
		"another target":    func(_ *Owner, c *Choice) { c.Target = "esp32c3" },
		"another version":   func(_ *Owner, c *Choice) { c.Version = "13" },
		"another recipe": func(_ *Owner, c *Choice) {
			r := *c.Recipe
			r.Name, c.Recipe = "other", &r
		},
	} {
		o, choice := owner("p"), k.choice()
		change(&o, choice)
		c := k.take(o, choice)
		if got := object(t, c); got != "" || c.Warm() {
			t.Errorf("%s: finds %q", name, got)
		}
		_ = leave(t, c, "poison")
	}
	if got := k.build("p", "ours"); got != "ours" {
		t.Errorf("the next build finds %q", got)
	}
}

func TestCachesThatAreNotKept(t *testing.T) {
	k := newKeeper(t, CacheLimits{Number: 2, Bytes: 1 << 20})
	for name, c := range map[string]struct {
		owner Owner
		left  func(dir string)
		want  string
	}{
		"nothing":          {owner("p"), func(string) {}, "left nothing in it"},
		"without an owner": {Owner{}, func(dir string) { write(t, dir+"/object", "x") }, "has no owner"},
		"too long":         {owner(strings.Repeat("p", maxProject+1)), func(dir string) { write(t, dir+"/object", "x") }, "has no owner"},
		"too large":        {owner("p"), func(dir string) { write(t, dir+"/object", strings.Repeat("x", 1<<20+1)) }, "larger than the 1 MiB"},
		"too many":         {owner("p"), func(dir string) { many(t, dir, 1<<20/block+1) }, "larger than the 1 MiB"},
		"a hole":           {owner("p"), func(dir string) { hole(t, dir) }, "larger than the 1 MiB"},
		"too deep":         {owner("p"), func(dir string) { write(t, dir+strings.Repeat("/d", maxCacheDepth+1)+"/object", "") }, "nested deeper"},
		"missing":          {owner("p"), func(dir string) { os.Remove(dir) }, "weigh the cache"},
	} {
		cache := k.take(c.owner, k.choice())
		c.left(cache.Dir)
		if err := cache.Keep(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err := cache.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		k.wants()
	}
	// A canceled job may have left the cache half-written.
	k.build("p", "x")
	if err := k.take(owner("p"), k.choice()).Close(); err != nil {
		t.Error(err)
	}
	k.wants()
}

func many(t *testing.T, dir string, n int) {
	t.Helper()
	for i := range n {
		write(t, fmt.Sprintf("%s/%d", dir, i), "")
	}
}

func hole(t *testing.T, dir string) {
	t.Helper()
	write(t, dir+"/hole", "")
	if err := os.Truncate(dir+"/hole", 1<<40); err != nil {
		t.Fatal(err)
	}
}

func TestLimitsOfAllCaches(t *testing.T) {
	k := newKeeper(t, CacheLimits{Number: 3, Bytes: 10 * block})
	for _, p := range []string{"a", "b", "c"} {
		k.build(p, "x")
	}
	k.build("a", "x") // used again, so that b is the oldest
	k.build("d", "x")
	k.wants("d", "a", "c")
	k.build("e", strings.Repeat("x", 8*block)) // nine of the ten blocks are used: e's and d's
	k.wants("e", "d", "a")
	k.build("f", strings.Repeat("x", 8*block))
	k.wants("f")
	for _, p := range []string{"a", "b"} {
		k.build(p, "x")
	}
	k.restart(CacheLimits{Number: 2, Bytes: plenty.Bytes})
	k.wants("b", "a")
	k.restart(CacheLimits{Number: 2, Bytes: block})
	k.wants("b")
}

func TestLimitOfZeroKeepsNone(t *testing.T) {
	k := newKeeper(t, plenty)
	k.build("p", "x")
	k.restart(CacheLimits{Number: 0, Bytes: plenty.Bytes})
	k.wants()
	c := k.take(owner("p"), k.choice())
	if object(t, c) != "" || leave(t, c, "x") == nil {
		t.Error("something was kept")
	}
	k.wants()
	k.restart(plenty)
	k.build("p", "x")
	for _, e := range []Entry{{Recipe: parse(t, minimal), Version: "12.2"}, {Recipe: parse(t, caching), Missing: "gone"}} {
		k.catalog = &Catalog{Entries: []Entry{e}}
		k.restart(plenty)
		k.wants()
	}
}

func TestTwoJobsOfOneProject(t *testing.T) {
	k := newKeeper(t, plenty)
	first, second := k.take(owner("p"), k.choice()), k.take(owner("p"), k.choice())
	if err := leave(t, first, "first"); err != nil {
		t.Error(err)
	}
	if err := leave(t, second, "second"); err == nil {
		t.Error("a cache that began empty has replaced another")
	}
	k.wants("p")
	// The first job has the kept cache. The second starts with an empty one and
	// ends first.
	warm, cold := k.take(owner("p"), k.choice()), k.take(owner("p"), k.choice())
	if object(t, warm) != "first" || object(t, cold) != "" || warm.Dir == cold.Dir {
		t.Errorf("they find %q and %q", object(t, warm), object(t, cold))
	}
	k.wantsWarm()
	if err := leave(t, cold, "cold"); err != nil {
		t.Error(err)
	}
	if err := leave(t, warm, "warm"); err != nil {
		t.Error(err)
	}
	k.wants("p")
	if got := k.build("p", "x"); got != "warm" {
		t.Errorf("%q is kept", got)
	}
}

// wantsWarm is wants while jobs have folders of their own.
func (k *keeper) wantsWarm(projects ...string) {
	k.t.Helper()
	if got := k.Warm(); !slices.Equal(got, projects) {
		k.t.Errorf("warm are %q, want %q", got, projects)
	}
}

func TestManyJobsAtOnce(t *testing.T) {
	k := newKeeper(t, CacheLimits{Number: 2, Bytes: plenty.Bytes})
	var jobs sync.WaitGroup
	for i := range 8 {
		jobs.Go(func() {
			for range 20 {
				c, err := k.Take(owner(string(rune('a'+i%4))), k.choice())
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.WriteFile(c.Dir+"/object", nil, 0o600); err != nil {
					t.Errorf("the folder is not the job's own: %v", err)
				}
				_ = c.Keep() // only one of them is kept
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				k.Warm()
			}
		})
	}
	jobs.Wait()
	k.wants(k.Warm()...)
	if n := len(k.Warm()); n != 2 {
		t.Errorf("%d are kept", n)
	}
}

// TestKilledAgent loses the cache that was in use and keeps the other.
func TestKilledAgent(t *testing.T) {
	k := newKeeper(t, plenty)
	k.build("p", "x")
	k.build("q", "x")
	c := k.take(owner("p"), k.choice())
	write(t, c.Dir+"/object", "half-writ")
	defer c.ws.Root.Close()
	k.restart(plenty)
	k.wants("q")
	if got := k.build("p", "x"); got != "" {
		t.Errorf("the next build finds %q", got)
	}
}

func TestOpenRemovesDamagedAndUnusedCaches(t *testing.T) {
	k := newKeeper(t, plenty)
	folder := func(project string) string {
		k.build(project, "x")
		return k.path(k.kept[len(k.kept)-1].id)
	}
	write(t, folder("damaged")+"/note.json", `{"project":`)
	if err := os.Remove(folder("without a note") + "/note.json"); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, outside+"/object", "precious")
	link := folder("a link") + "/files"
	if err := errors.Join(os.RemoveAll(link), os.Symlink(outside, link)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, k.dir+"/cache-of-nobody"); err != nil {
		t.Fatal(err)
	}
	gone := folder("removed by hand")
	folder("whole")
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
	if got := k.build("removed by hand", "x"); got != "" {
		t.Errorf("it finds %q", got)
	}
	k.restart(plenty)
	k.wants("removed by hand", "whole")
	if data, err := os.ReadFile(outside + "/object"); err != nil || string(data) != "precious" {
		t.Errorf("outside there is %q, %v", data, err)
	}
	k.catalog.Entries[0].Version = "13" // the operator has a new compiler
	k.restart(plenty)
	k.wants()
}

// TestCacheThatLeadsOut leaves links that lead out of the cache, and folders
// without permissions.
func TestCacheThatLeadsOut(t *testing.T) {
	k := newKeeper(t, CacheLimits{Number: 1, Bytes: 64 * block})
	outside := t.TempDir()
	write(t, outside+"/file", strings.Repeat("x", 100*block))
	if err := errors.Join(os.Chmod(outside+"/file", 0o640), os.Chmod(outside, 0o750)); err != nil {
		t.Fatal(err)
	}
	c := k.take(owner("p"), k.choice())
	for i, to := range []string{outside, outside + "/file", "../../../..", "/", c.Dir} {
		if err := os.Symlink(to, fmt.Sprintf("%s/link%d", c.Dir, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(c.Dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := leave(t, c, "x"); err != nil {
		t.Errorf("the targets of links were counted: %v", err)
	}
	k.wants("p")
	c = k.take(owner("p"), k.choice())
	write(t, c.Dir+"/locked/in/file", "x")
	if err := errors.Join(os.Symlink(outside, c.Dir+"/locked/in/link"), os.Chmod(c.Dir+"/locked/in", 0), os.Chmod(c.Dir+"/locked", 0)); err != nil {
		t.Fatal(err)
	}
	if err := leave(t, c, "x"); err == nil && os.Getuid() != 0 {
		t.Error("a folder that the agent cannot read was kept")
	}
	k.build("q", "x") // p is too much, if it was kept
	k.wants("q")
	for path, want := range map[string]fs.FileMode{outside: fs.ModeDir | 0o750, outside + "/file": 0o640} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s is %v, %v", path, info, err)
		}
	}
}

// TestStatusFitsTheProtocol lists at most as many projects as a status may name,
// and each once, even if it has a cache for each target.
func TestStatusFitsTheProtocol(t *testing.T) {
	k := newKeeper(t, CacheLimits{Number: 2 * api.MaxWarm, Bytes: plenty.Bytes})
	for i := range api.MaxWarm + 1 {
		k.build(fmt.Sprint("p", i), "x")
	}
	other := k.choice()
	other.Target = "esp32c3"
	if err := leave(t, k.take(owner("p0"), other), "x"); err != nil {
		t.Fatal(err)
	}
	got := k.Warm()
	if len(got) != api.MaxWarm || got[0] != "p0" || got[1] != fmt.Sprint("p", api.MaxWarm) || slices.Contains(got, "p1") {
		t.Errorf("%d: %q", len(got), got)
	}
}

// TestKeptCacheIsPrivate checks the modes of stored folders.
func TestKeptCacheIsPrivate(t *testing.T) {
	k := newKeeper(t, plenty)
	k.build("p", "x")
	dir := k.path(k.kept[0].id)
	for path, want := range map[string]fs.FileMode{dir: fs.ModeDir | 0o700, dir + "/files": fs.ModeDir | 0o700, dir + "/note.json": 0o600} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s is %v, %v", path, info, err)
		}
	}
	if strings.Contains(dir, "secret") || time.Since(k.kept[0].used) > time.Minute {
		t.Errorf("%s, used %v", dir, k.kept[0].used)
	}
}
