package project

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/farforge/farforge/common/channel"
)

// namedName is a file in the state folder: the secrets that were already named to the user.
const namedName = "named-secrets"

// NewSecrets returns the files that look like secrets and have not been named before,
// and notes them in the state folder. The caller names them to the user before they
// go to an agent.
func (p *Project) NewSecrets(state *os.Root, files []channel.File) ([]string, error) {
	text, err := state.ReadFile(namedName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the list of named secrets: %w", err)
	}
	named := strings.Split(strings.TrimSpace(string(text)), "\n")
	var found []string
	for _, f := range files {
		if f.Kind != channel.KindSymlink && !slices.Contains(named, f.Path) && p.isSecret(f) {
			found = append(found, f.Path)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	all := strings.TrimSpace(string(text) + "\n" + strings.Join(found, "\n"))
	if err := state.WriteFile(namedName, []byte(all+"\n"), 0o600); err != nil {
		return found, fmt.Errorf("write the list of named secrets: %w", err)
	}
	return found, nil
}

// isSecret reports whether a file looks like a secret, by its name, or for a file that
// may also hold certificates, by its contents.
func (p *Project) isSecret(f channel.File) bool {
	name := strings.ToLower(path.Base(f.Path))
	switch name {
	case "secrets.yaml", "secrets.yml", "secrets.h", "secrets.json", "secrets.toml", "secrets.ini", "secrets.py",
		".env", ".netrc", ".npmrc", ".pypirc", "credentials.json", "id_rsa", "id_ecdsa", "id_ed25519", "id_dsa":
		return true
	}
	if strings.HasPrefix(name, ".env.") && !strings.HasSuffix(name, ".example") && !strings.HasSuffix(name, ".sample") && !strings.HasSuffix(name, ".template") {
		return true
	}
	switch path.Ext(name) {
	case ".p12", ".pfx", ".ppk", ".kdbx":
		return true
	case ".pem", ".key", ".crt":
		return p.holdsPrivateKey(f.Path)
	}
	return false
}

// holdsPrivateKey reports whether a file has a private key in its first part.
func (p *Project) holdsPrivateKey(at string) bool {
	file, err := p.open(at)
	if err != nil {
		return false
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 256<<10))
	return err == nil && bytes.Contains(text, []byte("PRIVATE KEY-----"))
}
