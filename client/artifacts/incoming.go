package artifacts

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
)

const (
	incomingPrefix = "incoming-"
	oldPrefix      = "old-"
	// staleAfter is when a folder that a killed client left behind is removed.
	staleAfter = 24 * time.Hour
	// swapTries bounds how often two clients in one project may get in each
	// other's way.
	swapTries = 10
)

// Incoming is a place for artifacts that are arriving. It belongs to one build
// and one goroutine.
type Incoming struct {
	state *os.Root
	name  string
	root  *os.Root
}

// Begin makes a place within state, the client's own folder in a project. End
// with Keep or Discard.
func Begin(state *os.Root) (*Incoming, error) {
	removeStale(state)
	name := incomingPrefix + rand.Text()[:10]
	if err := state.Mkdir(name, 0o755); err != nil {
		return nil, cli.Failf(cli.Usage, "make a folder for the artifacts: %w", err)
	}
	root, err := state.OpenRoot(name)
	if err != nil {
		return nil, cli.Failf(cli.Usage, "open the folder for the artifacts: %w", errors.Join(err, state.RemoveAll(name)))
	}
	return &Incoming{state: state, name: name, root: root}, nil
}

// Sink returns where the artifacts are received to.
func (in *Incoming) Sink() channel.Sink { return channel.NewDirSink(in.root) }

// Keep checks that what arrived is what the result says and the agent has
// signed, and puts it in the place of the last build's. When it fails, the last build's are still there.
// Errors are for the user.
func (in *Incoming) Keep(got *channel.Manifest, result *channel.Result, want *Expected) (*Set, error) {
	set, err := check(in.root, got, result, want)
	if err != nil {
		return nil, errors.Join(err, in.Discard())
	}
	if err := in.root.Close(); err != nil {
		return nil, cli.Failf(cli.Usage, "close the folder of the artifacts: %w", err)
	}
	if err := in.swap(); err != nil {
		return nil, cli.Failf(cli.Usage, "put the artifacts in their place: %w", errors.Join(err, in.state.RemoveAll(in.name)))
	}
	set.Dir = filepath.Join(in.state.Name(), OutName)
	return set, nil
}

// swap renames the old folder away and the new one into its place.
func (in *Incoming) swap() error {
	old := oldPrefix + strings.TrimPrefix(in.name, incomingPrefix)
	var err error
	for range swapTries {
		moved := in.state.Rename(OutName, old)
		if moved != nil && !errors.Is(moved, fs.ErrNotExist) {
			return moved
		}
		if err = in.state.Rename(in.name, OutName); err == nil {
			return in.state.RemoveAll(old)
		}
		if moved == nil {
			// Back again, unless another build's have come in between.
			if back := in.state.Rename(old, OutName); back != nil {
				err = errors.Join(err, in.state.RemoveAll(old))
			}
		}
	}
	return err
}

// Discard removes what has arrived.
func (in *Incoming) Discard() error {
	return errors.Join(in.root.Close(), in.state.RemoveAll(in.name))
}

// removeStale removes what clients that were killed have left. Failing to is
// not worth an error: the build can go on.
func removeStale(state *os.Root) {
	entries, err := fs.ReadDir(state.FS(), ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), incomingPrefix) && !strings.HasPrefix(e.Name(), oldPrefix) {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > staleAfter {
			_ = state.RemoveAll(e.Name())
		}
	}
}
