package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/wholefile"
)

// cachePrefix begins the name of every folder that is kept.
const cachePrefix = "cache-"

// Inside such a folder: the build's files and the agent's note.
const (
	cacheFiles = "files"
	cacheNote  = "note.json"
)

// Caches are folders that outlive their jobs: files that a build leaves in one speed up
// the next build of the same project. There is one for each user, project, recipe,
// toolchain version and target.
//
//	Take ── moved to the job ──▶ the build uses it ──▶ Keep ── moved back
//	                                    │
//	                                    └──▶ Close without Keep: removed
//
// A folder is either kept or belongs to one job, never both. One that is in use
// when the agent dies is among the jobs' folders, which the next start removes.
// All methods are safe for concurrent use.
type Caches struct {
	workspaces *Workspaces
	limits     CacheLimits

	mu   sync.Mutex
	kept []kept // the longest unused first
}

// CacheLimits bound what is kept. The longest unused caches are removed first.
type CacheLimits struct {
	Number int   // of caches; 0 keeps none
	Bytes  int64 // of all caches together, as weigh counts
}

// Owner identifies the owner of a cache. If a field is empty, nothing is kept.
type Owner struct {
	Issuer  string // the broker that knows the user
	Subject string // the user
	Project string // as grants name it
	// Secret is known to the user's client and this agent only. Without it, a
	// broker could issue itself a grant and look into a user's cache.
	Secret string
}

// kept is one stored folder.
type kept struct {
	id   string
	note note
	used time.Time
}

// note is what the agent records about a folder.
type note struct {
	Project   string `json:"project"` // of the grant; the agent's status lists it
	Recipe    string `json:"recipe"`
	Toolchain string `json:"toolchain"`
	Version   string `json:"version"`
	Target    string `json:"target"`
	Bytes     int64  `json:"bytes"`
}

// OpenCaches opens the folders that earlier runs have kept in the workspaces'
// directory. It removes damaged ones, those that no recipe of the catalog would
// use, and those beyond the limits.
func OpenCaches(w *Workspaces, c *Catalog, limits CacheLimits) (*Caches, error) {
	k := &Caches{workspaces: w, limits: limits}
	trash, err := w.New()
	if err == nil {
		err = k.adopt(c, trash)
		_ = trash.Close() // the next start removes what is left
	}
	if err != nil {
		return nil, fmt.Errorf("open the caches in %s: %w", w.dir, err)
	}
	return k, nil
}

func (k *Caches) adopt(c *Catalog, trash *Workspace) error {
	entries, err := os.ReadDir(k.workspaces.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, ok := strings.CutPrefix(e.Name(), cachePrefix)
		if !ok {
			continue
		}
		one, err := readKept(k.path(id), id)
		if err != nil || !c.keeps(&one.note) {
			if err := os.Rename(k.path(id), filepath.Join(trash.Dir, e.Name())); err != nil {
				return err
			}
			continue
		}
		k.kept = append(k.kept, one)
	}
	slices.SortStableFunc(k.kept, func(a, b kept) int { return a.used.Compare(b.used) })
	k.trim(trash)
	return nil
}

func readKept(dir, id string) (kept, error) {
	info, err := os.Lstat(filepath.Join(dir, cacheFiles))
	if err == nil && !info.IsDir() {
		err = errors.New("not a folder")
	}
	if err != nil {
		return kept{}, err
	}
	if info, err = os.Lstat(dir); err != nil {
		return kept{}, err
	}
	one := kept{id: id, used: info.ModTime()}
	data, err := os.ReadFile(filepath.Join(dir, cacheNote))
	if err == nil {
		err = json.Unmarshal(data, &one.note)
	}
	return one, err
}

// keeps reports whether a build by the catalog could find the cache again.
func (c *Catalog) keeps(n *note) bool {
	return slices.ContainsFunc(c.Entries, func(e Entry) bool {
		return e.Usable() && e.Recipe.Build.Cache && e.Recipe.Name == n.Recipe && e.Recipe.Toolchain.Name == n.Toolchain &&
			e.Version == n.Version && slices.Contains(e.Recipe.Targets, n.Target)
	})
}

// Warm returns the projects whose caches are kept, as grants name them, the last
// used first, for the agent's status. It is never nil: if a status has no list, the
// broker guesses that every project the agent has built is warm.
func (k *Caches) Warm() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	warm := []string{}
	for _, one := range slices.Backward(k.kept) {
		if len(warm) < api.MaxWarm && !slices.Contains(warm, one.note.Project) {
			warm = append(warm, one.note.Project)
		}
	}
	return warm
}

// maxProject bounds the name of a project in a status, in bytes.
const maxProject = 128

func (o *Owner) complete() bool {
	return o.Issuer != "" && o.Subject != "" && o.Project != "" && len(o.Project) <= maxProject && o.Secret != ""
}

// id returns the name of the owner's folder for builds like n. Computing it
// requires every field.
func (o *Owner) id(n *note) string {
	all := []string{"farforge cache 1", o.Issuer, o.Subject, o.Project, o.Secret, n.Recipe, n.Toolchain, n.Version, n.Target}
	data, err := json.Marshal(all) // no two lists have the same JSON
	if err != nil {
		panic(err) // strings always can
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Take gives the job the cache that is kept for it, or an empty one. The caller
// must close it after the job's last process has ended.
func (k *Caches) Take(o Owner, c *Choice) (*Cache, error) {
	if k.limits.Number < 1 || !o.complete() {
		return k.workspaces.NewCache()
	}
	cache, err := k.workspaces.cache()
	if err != nil {
		return nil, err
	}
	cache.caches = k
	cache.note = note{Project: o.Project, Recipe: c.Recipe.Name, Toolchain: c.Recipe.Toolchain.Name, Version: c.Version, Target: c.Target}
	cache.id = o.id(&cache.note)
	if cache.warm = k.moveTo(cache.id, cache.dir()); cache.warm {
		return cache, nil
	}
	return cache, cache.make()
}

// moveTo moves a kept folder to path, if there is one.
func (k *Caches) moveTo(id, path string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := k.find(id)
	if i < 0 {
		return false
	}
	k.kept = slices.Delete(k.kept, i, i+1)
	return os.Rename(k.path(id), path) == nil // an error: the operator has removed it
}

// put stores a folder that a job gives back. The folders that it replaces or that
// exceed the limits are removed with the job's folder. A cache that started empty
// replaces none: the other one has more in it.
func (k *Caches) put(c *Cache) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := k.find(c.id); i >= 0 {
		if !c.warm {
			return errors.New("another build of the project has stored one meanwhile")
		}
		k.discard(i, c.ws)
	}
	now := time.Now()
	if err := errors.Join(os.Chtimes(c.dir(), now, now), os.Rename(c.dir(), k.path(c.id))); err != nil {
		return err
	}
	k.kept = append(k.kept, kept{c.id, c.note, now})
	k.trim(c.ws)
	return nil
}

// trim enforces the limits. The lock must be held.
func (k *Caches) trim(trash *Workspace) {
	total := int64(0)
	for _, one := range k.kept {
		total += one.note.Bytes
	}
	for len(k.kept) > 0 && (len(k.kept) > k.limits.Number || total > k.limits.Bytes) {
		total -= k.kept[0].note.Bytes
		k.discard(0, trash)
	}
}

// discard moves the folder, if it still exists, to where it will be removed. The
// lock must be held.
func (k *Caches) discard(i int, trash *Workspace) {
	name := cachePrefix + k.kept[i].id
	_ = os.Rename(filepath.Join(k.workspaces.dir, name), filepath.Join(trash.Dir, name))
	k.kept = slices.Delete(k.kept, i, i+1)
}

func (k *Caches) find(id string) int {
	return slices.IndexFunc(k.kept, func(one kept) bool { return one.id == id })
}

func (k *Caches) path(id string) string {
	return filepath.Join(k.workspaces.dir, cachePrefix+id)
}

// write stores the note beside the files, where no build can reach it.
func (n *note) write(dir string) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return wholefile.Write(filepath.Join(dir, cacheNote), data, 0o600)
}
