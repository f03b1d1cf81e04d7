package disk

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Source describes the files of a [Watched].
type Source[T any] struct {
	// Name names the files in the log, such as "list of users".
	Name string
	// Files are the paths. Several files, such as a certificate and its key,
	// are read together.
	Files []string
	// Limit bounds each file, in bytes.
	Limit int64
	// Access is checked at each read.
	Access Access
	// Parse turns the contents of the files, in the order of Files, into a value.
	Parse  func(files ...[]byte) (T, error)
	Logger *slog.Logger
}

// Watched is a value that follows its files. Files that become unreadable or
// wrong are logged once, and the value stays. It is safe for concurrent use.
type Watched[T any] struct {
	source Source[T]
	value  atomic.Pointer[T]

	mu   sync.Mutex
	seen []Version
	sums [][sha256.Size]byte
	// racy is set when a file was written so recently that a further write may
	// have left its time of change the same.
	racy bool
	// wrong is the error of the last read, and logged the last one in the log.
	wrong, logged error
}

// raceTime is longer than the resolution of any file system's times.
const raceTime = 2 * time.Second

// Watch reads the files for the first time and returns their fault.
func Watch[T any](source Source[T]) (*Watched[T], error) {
	w := &Watched[T]{source: source}
	if _, err := w.Refresh(); err != nil {
		return nil, err
	}
	return w, nil
}

// Value returns the value that was last read without an error.
func (w *Watched[T]) Value() T { return *w.value.Load() }

// Refresh reads the files now, and reports whether their contents have changed.
// The error is returned and not logged.
func (w *Watched[T]) Refresh() (changed bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.read()
}

// Reload reads the files now, changed or not, and reports whether they are
// right. It logs a fault.
func (w *Watched[T]) Reload() (ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.read()
	w.log(err)
	return err == nil
}

// Check reads the files if they may have changed, and reports whether there is a
// new value. It logs a fault. Wrong files are read at each call:
// a change of rights is not visible in a file's times.
func (w *Watched[T]) Check() (changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	touched := false
	for i, path := range w.source.Files {
		touched = touched || w.seen[i].Changed(path)
	}
	if !touched && !w.racy && w.wrong == nil {
		return false
	}
	before := w.wrong
	changed, err := w.read()
	// Several files cannot be replaced at once: right after a change, a failure
	// may be the moment between two replacements.
	if moment := touched && len(w.source.Files) > 1 && !same(before, err); err == nil || !moment {
		w.log(err)
	}
	return changed
}

// log is called with w.mu held.
func (w *Watched[T]) log(err error) {
	if err != nil && !same(w.logged, err) {
		w.source.Logger.Error("the "+w.source.Name+" was not reloaded; the old one stays in use", "err", err)
	}
	w.logged = err
}

// same reports whether two errors read the same.
func same(a, b error) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Error() == b.Error()
}

// read is called with w.mu held. It notes the versions of all files, so that a
// wrong file does not look changed at every call.
func (w *Watched[T]) read() (changed bool, err error) {
	now := time.Now()
	files := make([][]byte, len(w.source.Files))
	sums := make([][sha256.Size]byte, len(files))
	seen := make([]Version, len(files))
	var errs []error
	w.racy = false
	for i, path := range w.source.Files {
		files[i], seen[i], err = Read(path, w.source.Limit)
		if err == nil {
			err = w.source.Access.check(path, seen[i])
		}
		if err != nil {
			errs = append(errs, err)
		}
		sums[i] = sha256.Sum256(files[i])
		if info := seen[i].info; info != nil && now.Sub(info.ModTime()).Abs() < raceTime {
			w.racy = true
		}
	}
	unchanged := w.wrong == nil && slices.Equal(w.sums, sums)
	w.seen, w.sums = seen, sums
	if w.wrong = errors.Join(errs...); w.wrong != nil {
		return false, w.wrong
	}
	if unchanged {
		return false, nil
	}
	value, err := w.source.Parse(files...)
	if err != nil {
		w.wrong = fmt.Errorf("%s: %w", strings.Join(w.source.Files, " and "), err)
		return false, w.wrong
	}
	w.value.Store(&value)
	return true, nil
}

// File is a value that follows files on disk.
type File interface {
	// Reload reads the files.
	Reload()
	// Check reads the files if they have changed.
	Check()
}

// CheckInterval is the time in which Follow notices a change. A check costs one
// stat a file.
const CheckInterval = time.Second

// Follow checks the files until ended is closed, and reloads them at each signal.
func Follow(ended <-chan struct{}, reload <-chan os.Signal, files ...File) {
	tick := time.NewTicker(CheckInterval)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-reload:
			for _, f := range files {
				f.Reload()
			}
		case <-tick.C:
			for _, f := range files {
				f.Check()
			}
		}
	}
}
