package keyring

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/common/grant"
)

// Current is what a broker signs with and what it publishes.
type Current struct {
	Signer    *grant.Signer
	Published *grant.Published
}

// Ring follows the keys in a state folder. It is safe for concurrent use.
type Ring struct {
	dir    string
	log    *slog.Logger
	now    func() time.Time
	secret []byte

	mu     sync.Mutex
	state  *state
	seen   disk.Version // what was last read, good or bad
	change func(Current)
}

// Open reads the folder, and makes what is missing in it. issuer is the
// broker's origin; rotations name it.
func Open(dir, issuer string, log *slog.Logger) (*Ring, error) {
	f := founder{dir: dir, now: time.Now(), step: func(string) error { return nil }}
	if err := f.found(); err != nil {
		return nil, err
	}
	secret, err := readSecret(dir)
	if err != nil {
		return nil, err
	}
	r := &Ring{dir: dir, log: log, now: time.Now, secret: secret, change: func(Current) {}}
	r.mu.Lock()
	defer r.mu.Unlock()
	err = r.edit(func(s *state) bool {
		moved := s.Issuer != issuer
		s.Issuer = issuer
		return s.retire(r.now()) || moved
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Secret returns what challenges and sessions are authenticated with.
func (r *Ring) Secret() []byte { return r.secret }

// Current returns the keys as they are now.
func (r *Ring) Current() Current {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current()
}

func (r *Ring) current() Current {
	return Current{Signer: r.state.signer(), Published: r.state.published()}
}

// OnChange sets what is called with the keys whenever they have changed. It
// must not call the Ring.
func (r *Ring) OnChange(f func(Current)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change = f
}

// Reload reads the keys again. Keys that are wrong change nothing.
func (r *Ring) Reload() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reload()
}

// Check does so if the file has changed, and drops the keys that retire. It is
// made to be called every second.
func (r *Ring) Check() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen.Changed(filepath.Join(r.dir, keysFile)) {
		r.reload()
	}
	if due := r.state.due(); due.IsZero() || r.now().Before(due) {
		return
	}
	if err := r.edit(func(s *state) bool { return s.retire(r.now()) }); err != nil {
		// In memory it is out at any rate.
		r.log.Error("a grant signing key has retired, but the file of keys cannot be changed", "err", err)
		r.state.retire(r.now())
	}
	r.tell()
}

func (r *Ring) reload() {
	s, v, err := readState(r.dir)
	r.seen = v
	if err != nil {
		r.log.Error("the grant signing keys were not read again; the old ones stay", "err", err)
		return
	}
	same := reflect.DeepEqual(s, r.state)
	if r.state = s; !same {
		r.tell()
	}
}

func (r *Ring) tell() {
	c := r.current()
	r.log.Info("the grant signing keys are now", "signs", grant.KeyID(c.Signer.Public()), "verify", len(r.state.Keys))
	r.change(c)
}

// edit changes the file under its lock, if change says that there is something
// to write, and takes over what it holds.
func (r *Ring) edit(change func(*state) bool) error {
	unlock, err := disk.Lock(filepath.Join(r.dir, keysFile))
	if err != nil {
		return err
	}
	defer unlock()
	s, v, err := readState(r.dir)
	if err != nil {
		return err
	}
	if change(s) {
		if err := s.replace(r.dir); err != nil {
			return fmt.Errorf("write the grant signing keys: %w", err)
		}
		if s, v, err = readState(r.dir); err != nil {
			return err
		}
	}
	r.state, r.seen = s, v
	return nil
}
