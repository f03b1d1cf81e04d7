package users

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/farforge/farforge/broker/disk"
)

// watched is a file that is parsed again when somebody says so.
type watched[T any] struct {
	path   string
	parse  func([]byte) (T, error)
	logger *slog.Logger
	value  atomic.Pointer[T]

	mu   sync.Mutex
	seen disk.Version
}

func watch[T any](path string, parse func([]byte) (T, error), logger *slog.Logger) (*watched[T], error) {
	w := &watched[T]{path: path, parse: parse, logger: logger}
	value, err := w.read()
	if err != nil {
		return nil, err
	}
	w.value.Store(&value)
	return w, nil
}

// read notes the version that it has seen, also if it is no good.
func (w *watched[T]) read() (value T, err error) {
	data, version, err := disk.Read(w.path, MaxFile)
	w.seen = version
	if err != nil {
		return value, err
	}
	if mode := version.Mode().Perm(); mode&0o022 != 0 {
		return value, fmt.Errorf("%s has mode %04o, others can change it; run: chmod go-w %s", w.path, mode, w.path)
	}
	if value, err = w.parse(data); err != nil {
		return value, fmt.Errorf("%s: %w", w.path, err)
	}
	return value, nil
}

// current returns what the file said when it was last right.
func (w *watched[T]) current() *T { return w.value.Load() }

// Check reads the file again if it has changed.
func (w *watched[T]) Check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen.Changed(w.path) {
		w.load()
	}
}

// Reload reads the file again, whether it seems changed or not.
func (w *watched[T]) Reload() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.load()
}

// load is called with mu held.
func (w *watched[T]) load() {
	value, err := w.read()
	if err != nil {
		w.logger.Error("a list of users was not read again; the old one stays", "err", err)
		return
	}
	w.value.Store(&value)
	w.logger.Info("a list of users was read again", "file", w.path)
}
