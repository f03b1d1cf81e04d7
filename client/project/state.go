package project

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/farforge/farforge/common/cli"
)

// Files in the state folder.
const (
	keyName      = "project-key"
	cacheKeyName = "cache-key"
)

// State opens the folder that the client keeps beside the project's files, and
// makes it if need be. git ignores what is in it. The caller closes it.
func (p *Project) State() (*os.Root, error) {
	fail := func(err error) (*os.Root, error) {
		return nil, cli.Failf(cli.Usage, "cannot use %s, where artifacts go: %w", filepath.Join(p.Dir, StateName), err)
	}
	if err := p.root.Mkdir(StateName, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fail(err)
	}
	state, err := p.root.OpenRoot(StateName)
	if err != nil {
		return fail(err)
	}
	if _, err := state.Lstat(gitIgnoreName); errors.Is(err, fs.ErrNotExist) {
		if err := state.WriteFile(gitIgnoreName, []byte("*\n"), 0o644); err != nil {
			return fail(errors.Join(err, state.Close()))
		}
	}
	return state, nil
}

// Key returns an opaque name for the project that stays the same from build to
// build, so that an agent that still has something of it is preferred. It is
// random and tells nothing about the project. Brokers see it.
func Key(state *os.Root) (string, error) { return random(state, keyName) }

// CacheKeys returns what to show each agent, by its fingerprint, so that it may
// use and keep what makes the next build of the project quicker. An agent that
// has seen its own learns nothing of another's, and brokers see none.
func CacheKeys(state *os.Root) (func(agent string) string, error) {
	secret, err := random(state, cacheKeyName)
	if err != nil {
		return nil, err
	}
	return func(agent string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(agent))
		return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}, nil
}

// random reads a random text of 130 bits, which it writes first if it is not
// there yet. Only the user can read it.
func random(state *os.Root, name string) (string, error) {
	text, err := state.ReadFile(name)
	if key := strings.TrimSpace(string(text)); err == nil && len(key) == 26 {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the project's key: %w", err)
	}
	key := rand.Text()
	if err := state.WriteFile(name, []byte(key+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the project's key: %w", err)
	}
	return key, nil
}
