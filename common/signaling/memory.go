package signaling

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/farforge/farforge/common/wholefile"
)

// memory is a file with the way to each broker that worked last. It only saves
// time: a file that cannot be read or written is treated as missing.
type memory struct {
	path string // empty: the memory is off
	log  *slog.Logger
}

// memoryLife is how long a way is remembered from when it was found; use does not
// prolong it. After that the configured order applies again, so that no client
// keeps a detour forever.
const memoryLife = 24 * time.Hour

// maxMemory bounds the file.
const maxMemory = 64 << 10

// kept is the file's entry for one broker; the key is its origin.
type kept struct {
	Leg string    `json:"leg"`
	Via string    `json:"via,omitempty"`
	At  time.Time `json:"at"`
}

func (m *memory) recall(origin string) (Way, bool) {
	all, err := m.read()
	if err != nil {
		m.log.Debug("cannot read which way worked last", "error", err)
		return Way{}, false
	}
	return m.fresh(all, origin)
}

// fresh returns the way to a broker that was found within memoryLife.
func (m *memory) fresh(all map[string]kept, origin string) (Way, bool) {
	k, ok := all[origin]
	if age := time.Since(k.At); !ok || age < 0 || age > memoryLife {
		return Way{}, false
	}
	return Way{k.Leg, k.Via}, true
}

// keep writes the way to the file, beside those to other brokers, unless it is
// there already. When two processes write at once, one of them is forgotten.
func (m *memory) keep(origin string, way Way) {
	if m.path == "" {
		return
	}
	all, err := m.read()
	if err != nil {
		all = nil
	}
	if known, ok := m.fresh(all, origin); ok && known == way {
		return
	}
	fresh := map[string]kept{origin: {way.Leg, way.Via, time.Now().UTC().Truncate(time.Second)}}
	for other, k := range all {
		if other != origin && time.Since(k.At) <= memoryLife {
			fresh[other] = k
		}
	}
	if err := m.write(fresh); err != nil {
		m.log.Debug("cannot remember which way works", "error", err)
	}
}

func (m *memory) read() (map[string]kept, error) {
	if m.path == "" {
		return nil, nil
	}
	info, err := os.Stat(m.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Size() > maxMemory:
		return nil, fmt.Errorf("%s is longer than %d bytes", m.path, maxMemory)
	}
	text, err := os.ReadFile(m.path)
	if err != nil {
		return nil, err
	}
	var all map[string]kept
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", m.path, err)
	}
	return all, nil
}

// write replaces the file. Only its owner can read which brokers are in use.
func (m *memory) write(all map[string]kept) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
		return err
	}
	return wholefile.Write(m.path, append(text, '\n'), 0o600)
}
