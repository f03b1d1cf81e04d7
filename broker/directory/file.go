package directory

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/common/identity"
)

// ReadFile reads an authorized_agents file; see [identity.ParseUsable]. It
// refuses a file that anybody may write.
func ReadFile(path string, skipped func(error)) ([]identity.Authorized, error) {
	w, err := watch(path, slog.New(slog.DiscardHandler), skipped)
	if err != nil {
		return nil, err
	}
	return w.Value(), nil
}

func watch(path string, log *slog.Logger, skipped func(error)) (*disk.Watched[[]identity.Authorized], error) {
	return disk.Watch(disk.Source[[]identity.Authorized]{
		Name: "list of agents", Files: []string{path}, Limit: identity.MaxAuthorizedFile,
		Access: disk.GroupWrites, Logger: log,
		Parse: func(files ...[]byte) ([]identity.Authorized, error) { return identity.ParseUsable(files[0], skipped) },
	})
}

// File keeps a [Directory] equal to an authorized_agents file, which any
// program may change. It is safe for concurrent use.
type File struct {
	path  string
	dir   *Directory
	log   *slog.Logger
	now   func() time.Time
	lines *disk.Watched[[]identity.Authorized]

	mu sync.Mutex
	// due is when the next line expires; zero is never.
	due time.Time
}

// OpenFile reads the file. It fails if the file does not exist or is wrong;
// later faults are logged and change nothing. Lines with unusable keys are
// logged and skipped.
func OpenFile(path string, log *slog.Logger) (*File, error) {
	lines, err := watch(path, log, func(err error) {
		log.Warn("a line of the list of agents is not used", "file", path, "err", err)
	})
	if err != nil {
		return nil, fmt.Errorf("read the list of agents: %w", err)
	}
	f := &File{path: path, dir: New(nil), log: log, now: time.Now, lines: lines}
	f.apply()
	return f, nil
}

// Path returns the path of the file.
func (f *File) Path() string { return f.path }

// Directory returns the directory that follows the file.
func (f *File) Directory() *Directory { return f.dir }

// Reload reads the file again.
func (f *File) Reload() {
	if f.lines.Reload() {
		f.logged(f.apply())
	}
}

// Check reads the file again if it has changed, and removes expired agents. The
// caller calls it every second.
func (f *File) Check() {
	if f.lines.Check() || f.expired() {
		f.logged(f.apply())
	}
}

func (f *File) expired() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.due.IsZero() && !f.now().Before(f.due)
}

func (f *File) logged(added, removed int) {
	now := f.dir.Snapshot().Len()
	f.log.Info("list of agents reloaded", "agents", now, "added", added, "removed", removed, "expired", len(f.lines.Value())-now)
}

// refresh applies an edit of the file at once.
func (f *File) refresh() error {
	if _, err := f.lines.Refresh(); err != nil {
		return fmt.Errorf("read the list of agents: %w", err)
	}
	f.apply()
	return nil
}

// apply lists the agents that have not expired.
func (f *File) apply() (added, removed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	f.due = time.Time{}
	var current []identity.Authorized
	for _, who := range f.lines.Value() {
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
