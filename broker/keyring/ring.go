// Package keyring stores a broker's secrets in its state folder: the keys that
// sign grants, the signature of each for its successor, and the secret of
// challenges and sessions.
//
//	grant-keys.json   the keys and rotations, all in one file     0600
//	session-secret    32 bytes in base64                          0600
//
//	key 1 ──signs grants──┤ verifies │ forgotten
//	                      └ rotation ┐
//	key 2                            ├──signs grants──┤ verifies │ …
//	        Rotate ───────▲          ▲ overlap ends
//
// Rotate makes a key, signs it with the old one and erases the old private half,
// all in one replacement of one file. So a crash leaves the state before or the
// state after. From then on the new key signs; grants of the old one are valid
// until the overlap ends. Agents that have pinned an old key follow the
// rotations, which stay.
//
// A running broker checks the file every second. The session secret does not
// depend on the keys: a rotation ends no session.
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

// Current is the key that signs and the keys that the broker publishes.
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

	file *disk.Watched[*state]

	mu     sync.Mutex
	state  *state
	change func(Current)
}

// Open reads the folder and creates what is missing. issuer is the broker's
// origin; rotations name it.
func Open(dir, issuer string, log *slog.Logger) (*Ring, error) {
	f := founder{dir: dir, now: time.Now(), step: func(string) error { return nil }}
	if err := f.found(); err != nil {
		return nil, err
	}
	secret, err := readSecret(dir)
	if err != nil {
		return nil, err
	}
	file, err := watchState(dir, log)
	if err != nil {
		return nil, err
	}
	r := &Ring{dir: dir, log: log, now: time.Now, secret: secret, file: file, state: file.Value(), change: func(Current) {}}
	err = r.edit(func(s *state) bool {
		moved := s.Issuer != issuer
		s.Issuer = issuer
		return s.retire(r.now()) || moved
	})
	if err != nil {
		return nil, err
	}
	r.state = file.Value()
	return r, nil
}

// Secret returns the secret that authenticates challenges and sessions.
func (r *Ring) Secret() []byte { return r.secret }

// Current returns the present keys.
func (r *Ring) Current() Current {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Current{Signer: r.state.signer(), Published: r.state.published()}
}

// OnChange sets the function that Check and Reload call with changed keys.
func (r *Ring) OnChange(f func(Current)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change = f
}

// Reload reads the keys again. Wrong keys change nothing. One goroutine calls
// Reload and Check.
func (r *Ring) Reload() {
	if r.file.Reload() {
		r.use(r.file.Value())
	}
}

// Check reads the keys again if the file has changed, and drops the keys that
// retire. The caller calls it every second.
func (r *Ring) Check() {
	if r.file.Check() {
		r.use(r.file.Value())
	}
	r.mu.Lock()
	due := r.state.due()
	r.mu.Unlock()
	if due.IsZero() || r.now().Before(due) {
		return
	}
	if err := r.edit(func(s *state) bool { return s.retire(r.now()) }); err != nil {
		r.log.Error("a grant signing key has retired and is out of use, but the file of keys cannot be changed", "err", err)
	}
	kept := *r.file.Value()
	kept.retire(r.now())
	r.use(&kept)
}

// use replaces the keys and calls change if they differ. It calls change without
// the lock.
func (r *Ring) use(s *state) {
	r.mu.Lock()
	same := reflect.DeepEqual(s, r.state)
	r.state = s
	change := r.change
	r.mu.Unlock()
	if same {
		return
	}
	c := r.Current()
	r.log.Info("grant signing keys changed", "signs", grant.KeyID(c.Signer.Public()), "verify", len(s.Keys))
	change(c)
}

// edit changes the file under its lock if change returns true, and reads it
// again.
func (r *Ring) edit(change func(*state) bool) error {
	unlock, err := disk.Lock(filepath.Join(r.dir, keysFile))
	if err != nil {
		return err
	}
	defer unlock()
	s, err := readState(r.dir)
	if err != nil {
		return err
	}
	if change(s) {
		if err := s.replace(r.dir); err != nil {
			return fmt.Errorf("write the grant signing keys: %w", err)
		}
	}
	_, err = r.file.Refresh()
	return err
}
