package artifacts

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
)

// Names within the state folder and within an incoming folder.
const (
	incomingPrefix = "incoming-"
	// lockName is a file that its owner keeps locked: in an incoming folder the
	// client that receives, in the state folder a client that moves folders.
	lockName  = "lock"
	filesName = "files"
	// lastName holds the last build's artifacts while new ones take their place.
	lastName = "last"
	// oldPrefix begins the name of the last build's folder in older clients.
	oldPrefix = "old-"
)

// Incoming is a place for artifacts that are arriving. It belongs to one build
// and one goroutine.
type Incoming struct {
	state *os.Root
	name  string
	files *os.Root
	owned *flock.Flock
}

// Begin makes a place within state, the client's own folder in a project. It
// removes the places of clients that were killed, and restores the last build's
// artifacts if such a client was about to replace them. The caller ends with
// Keep or Discard. Errors are for the user.
func Begin(state *os.Root) (*Incoming, error) {
	fail := func(err error) (*Incoming, error) {
		return nil, cli.Failf(cli.Usage, "make a folder for the artifacts: %w", err)
	}
	unlock, locked := lockState(state)
	defer unlock()
	if locked {
		restore(state)
		removeAbandoned(state)
	}
	in := &Incoming{state: state, name: incomingPrefix + rand.Text()[:10]}
	if err := state.Mkdir(in.name, 0o755); err != nil {
		return fail(err)
	}
	var err error
	if in.owned, err = newLock(state, path.Join(in.name, lockName)); err == nil {
		// Without locks on this file system, no client removes folders of others.
		_, _ = in.owned.TryLock()
		err = state.Mkdir(path.Join(in.name, filesName), 0o755)
	}
	if err == nil {
		in.files, err = state.OpenRoot(path.Join(in.name, filesName))
	}
	if err != nil {
		return fail(errors.Join(err, in.remove()))
	}
	return in, nil
}

// Sink empties the place and returns a sink that stores artifacts there.
func (in *Incoming) Sink() (channel.Sink, error) {
	entries, err := fs.ReadDir(in.files.FS(), ".")
	for _, e := range entries {
		err = errors.Join(err, in.files.RemoveAll(e.Name()))
	}
	if err != nil {
		return nil, cli.Failf(cli.Usage, "empty the folder for the artifacts: %w", err)
	}
	return channel.NewDirSink(in.files), nil
}

// Keep checks that the artifacts are those of the result and of the agent's
// signed statement, and replaces the last build's artifacts with them. After an
// error the last build's artifacts are still in place. Errors are for the user.
func (in *Incoming) Keep(got *channel.Manifest, result *channel.Result, want *Expected) (*Set, error) {
	set, err := check(in.files, got, result, want)
	if err != nil {
		return nil, errors.Join(err, in.Discard())
	}
	if err := in.files.Close(); err != nil {
		return nil, cli.Failf(cli.Usage, "close the folder of the artifacts: %w", err)
	}
	if err := in.replace(); err != nil {
		return nil, cli.Failf(cli.Usage, "put the artifacts in their place: %w", errors.Join(err, in.remove()))
	}
	_ = in.remove() // the new artifacts are in place; the next build removes the rest
	set.Dir = filepath.Join(in.state.Name(), OutName)
	return set, nil
}

// replace moves the last build's artifacts into the incoming folder and the new
// ones out of it. A client that is killed in between leaves what restore needs.
func (in *Incoming) replace() error {
	unlock, _ := lockState(in.state)
	defer unlock()
	last := path.Join(in.name, lastName)
	moved := in.state.Rename(OutName, last)
	if moved != nil && !errors.Is(moved, fs.ErrNotExist) {
		return moved
	}
	err := in.state.Rename(path.Join(in.name, filesName), OutName)
	if err != nil && moved == nil {
		err = errors.Join(err, in.state.Rename(last, OutName))
	}
	return err
}

// Discard removes the artifacts that have arrived.
func (in *Incoming) Discard() error {
	return errors.Join(in.files.Close(), in.remove())
}

func (in *Incoming) remove() error {
	var err error
	if in.owned != nil {
		err = in.owned.Close()
	}
	return errors.Join(err, in.state.RemoveAll(in.name))
}

// newLock makes the file to lock within the state folder. No symlink makes it lie
// elsewhere.
func newLock(state *os.Root, name string) (*flock.Flock, error) {
	f, err := state.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return flock.New(filepath.Join(state.Name(), filepath.FromSlash(name)), flock.SetFlag(os.O_RDWR)), f.Close()
}

// lockState keeps other clients from moving folders in the state folder. It
// returns false if the file system has no locks; then folders of killed clients
// stay.
func lockState(state *os.Root) (unlock func(), ok bool) {
	lock, err := newLock(state, lockName)
	if err == nil {
		err = lock.Lock()
	}
	if err != nil {
		return func() {}, false
	}
	return func() { _ = lock.Close() }, true
}

// restore puts the last build's artifacts back if a client was killed after it
// moved them away. The caller holds the lock of the state folder.
func restore(state *os.Root) {
	if _, err := state.Lstat(OutName); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	var newest fs.FileInfo
	var from string
	for _, name := range leftovers(state) {
		at := path.Join(name, lastName)
		if strings.HasPrefix(name, oldPrefix) {
			at = name
		} else if _, err := state.Lstat(path.Join(name, filesName)); err != nil {
			continue // the new artifacts did take their place
		}
		info, err := state.Lstat(at)
		if err == nil && info.IsDir() && (newest == nil || info.ModTime().After(newest.ModTime())) {
			newest, from = info, at
		}
	}
	if newest != nil {
		_ = state.Rename(from, OutName)
	}
}

// restoreIn puts the last build's artifacts back if a killed client has moved them
// away. dir is a project, state the name of the client's own folder in it.
// Verify, ReadClaim and FindMap call it.
func restoreIn(dir, state string) {
	root, err := os.OpenRoot(filepath.Join(dir, state))
	if err != nil {
		return // the project has no state folder, or the caller reports the error
	}
	defer root.Close()
	if _, err := root.Lstat(OutName); !errors.Is(err, fs.ErrNotExist) || len(leftovers(root)) == 0 {
		return
	}
	unlock, locked := lockState(root)
	defer unlock()
	if locked {
		restore(root)
	}
}

// removeAbandoned removes the folders of clients that do not run any more. The
// caller holds the lock of the state folder. An error leaves a folder to the next
// client.
func removeAbandoned(state *os.Root) {
	for _, name := range leftovers(state) {
		lock := flock.New(filepath.Join(state.Name(), name, lockName), flock.SetFlag(os.O_RDWR))
		free, err := lock.TryLock()
		_ = lock.Close()
		if free || errors.Is(err, fs.ErrNotExist) {
			_ = state.RemoveAll(name)
		}
	}
}

// leftovers returns the names of folders into which clients receive, or once did.
func leftovers(state *os.Root) (names []string) {
	entries, err := fs.ReadDir(state.FS(), ".")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() && (strings.HasPrefix(e.Name(), incomingPrefix) || strings.HasPrefix(e.Name(), oldPrefix)) {
			names = append(names, e.Name())
		}
	}
	return names
}
