package directory

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/common/identity"
)

// ReadFile reads an authorized_agents file; see [identity.ParseAuthorized]. It
// refuses one that anybody may write, and one that is too long without reading
// it all.
func ReadFile(path string) ([]identity.Authorized, error) {
	agents, _, err := readFile(path)
	return agents, err
}

func readFile(path string) ([]identity.Authorized, disk.Version, error) {
	data, v, err := disk.Read(path, identity.MaxAuthorizedFile)
	if err != nil {
		return nil, v, err
	}
	if v.Mode().Perm()&0o002 != 0 {
		return nil, v, fmt.Errorf("%s: anybody may write it; run: chmod o-w %s", path, path)
	}
	agents, err := identity.ParseAuthorized(data)
	if err != nil {
		return nil, v, fmt.Errorf("%s: %w", path, err)
	}
	return agents, v, nil
}

// File keeps a [Directory] true to an authorized_agents file, whoever changes
// that. It is safe for concurrent use.
type File struct {
	path string
	dir  *Directory
	log  *slog.Logger
	now  func() time.Time

	mu    sync.Mutex
	seen  disk.Version // what was last read, good or bad
	lines []identity.Authorized
	// due is when the next line expires; zero is never.
	due time.Time
}

// OpenFile reads the file. It fails if that is not there or wrong; later
// changes for the worse are logged and change nothing.
func OpenFile(path string, log *slog.Logger) (*File, error) {
	f := &File{path: path, dir: New(nil), log: log, now: time.Now}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, _, err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// Path returns where the file is.
func (f *File) Path() string { return f.path }

// Directory returns the directory that follows the file.
func (f *File) Directory() *Directory { return f.dir }

// Reload reads the file again.
func (f *File) Reload() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reload()
}

// Check reads the file again if it has changed, and takes out the agents whose
// time is over. It is made to be called every second.
func (f *File) Check() {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.seen.Changed(f.path):
		f.reload()
	case !f.due.IsZero() && !f.now().Before(f.due):
		f.tell(f.apply())
	}
}

func (f *File) reload() {
	added, removed, err := f.read()
	if err != nil {
		f.log.Error("the list of agents was not read again; the old one stays", "err", err)
		return
	}
	f.tell(added, removed)
}

func (f *File) tell(added, removed int) {
	now := f.dir.Snapshot().Len()
	f.log.Info("the list of agents was read again", "agents", now, "added", added, "removed", removed, "expired", len(f.lines)-now)
}

func (f *File) read() (added, removed int, err error) {
	lines, v, err := readFile(f.path)
	f.seen = v
	if err != nil {
		return 0, 0, fmt.Errorf("read the list of agents: %w", err)
	}
	f.lines = lines
	added, removed = f.apply()
	return added, removed, nil
}

// apply lists the agents whose time is not over.
func (f *File) apply() (added, removed int) {
	now := f.now()
	f.due = time.Time{}
	var current []identity.Authorized
	for _, who := range f.lines {
		if who.Expired(now) {
			continue
		}
		current = append(current, who)
		if !who.Expires.IsZero() && (f.due.IsZero() || who.Expires.Before(f.due)) {
			f.due = who.Expires
		}
	}
	return f.dir.Replace(current)
}
