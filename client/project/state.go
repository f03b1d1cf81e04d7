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

// State opens the client's own folder in the project, and makes it if it does not exist.
// git ignores its contents. The caller closes it.
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

// Key returns an opaque name for the project that stays the same from build to build, so
// that the broker prefers an agent with a warm workspace of it. It is random and says
// nothing about the project. Brokers see it.
func Key(state *os.Root) (string, error) { return random(state, keyName) }

// CacheKeys returns a function that returns an agent's cache key, by the agent's
// fingerprint. With it the agent may use and keep a cache for the project. An agent
// learns nothing from its key about those of others, and brokers see none.
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

// random returns a random text of 130 bits from a file, and makes the file if it does not
// exist. Only the user can read it.
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
