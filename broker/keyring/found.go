package keyring

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/common/wholefile"
)

// oldKeyFile held the only key of brokers before there were rotations, as PKCS #8
// in PEM. They derived the session secret from it.
const oldKeyFile = "grant-key.pem"

// founder creates the files of a state folder. It calls step before each change;
// tests return an error from it, as if the broker had crashed.
type founder struct {
	dir  string
	now  time.Time
	step func(what string) error
}

// found creates missing files, in an order that the next start can continue after
// a crash at any step.
func (f founder) found() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	if err := disk.CheckFolder(f.dir, disk.GroupWrites); err != nil {
		return err
	}
	unlock, err := disk.Lock(filepath.Join(f.dir, keysFile))
	if err != nil {
		return err
	}
	defer unlock()
	if err := f.sweep(); err != nil {
		return err
	}
	old, err := f.oldKey()
	if err != nil {
		return err
	}
	if err := f.secret(old); err != nil {
		return err
	}
	if err := f.keys(old); err != nil {
		return err
	}
	if old == nil {
		return nil
	}
	if err := f.step("remove the old key file"); err != nil {
		return err
	}
	return wholefile.Remove(filepath.Join(f.dir, oldKeyFile))
}

// sweep removes temporary files that a crash has left: they may hold secrets.
func (f founder) sweep() error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, prefix := range []string{"." + keysFile + ".", "." + secretFile + ".", ".grant-key-"} {
			if strings.HasPrefix(e.Name(), prefix) {
				if err := wholefile.Remove(filepath.Join(f.dir, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (f founder) oldKey() (ed25519.PrivateKey, error) {
	path := filepath.Join(f.dir, oldKeyFile)
	data, _, err := disk.ReadSecret(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	key, err := parsePEM(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

func parsePEM(data []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("not a private key in PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	return key, nil
}

// secret creates the session secret. The one derived from an old key is kept, so
// that sessions continue.
func (f founder) secret(old ed25519.PrivateKey) error {
	path := filepath.Join(f.dir, secretFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	secret := make([]byte, secretSize)
	rand.Read(secret) // never fails
	if old != nil {
		var err error
		if secret, err = hkdf.Key(sha256.New, old.Seed(), nil, "farforge broker sessions v1", secretSize); err != nil {
			return fmt.Errorf("derive the session secret: %w", err)
		}
	}
	if err := f.step("write the session secret"); err != nil {
		return err
	}
	return wholefile.Create(path, []byte(base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600)
}

const secretSize = 32

func readSecret(dir string) ([]byte, error) {
	path := filepath.Join(dir, secretFile)
	data, _, err := disk.ReadSecret(path, maxFile)
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(secret) != secretSize {
		return nil, fmt.Errorf("%s: not %d bytes in base64; remove it to create another, which ends all sessions", path, secretSize)
	}
	return secret, nil
}

// keys creates the file of keys, with the old key if there is one.
func (f founder) keys(old ed25519.PrivateKey) error {
	s, err := readState(f.dir)
	if err == nil {
		if old == nil || s.knows(old.Public().(ed25519.PublicKey)) {
			return nil
		}
		return fmt.Errorf("%s and %s hold different keys; remove the wrong one from %s", keysFile, oldKeyFile, f.dir)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if old == nil {
		if _, old, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return fmt.Errorf("make the grant signing key: %w", err)
		}
	}
	data, err := (&state{Version: 1, Keys: []key{newKey(old, f.now)}}).marshal()
	if err != nil {
		return err
	}
	if err := f.step("write the keys"); err != nil {
		return err
	}
	return wholefile.Create(filepath.Join(f.dir, keysFile), data, 0o600)
}

func (s *state) knows(public ed25519.PublicKey) bool {
	for _, k := range s.Keys {
		if k.Public.Equal(public) {
			return true
		}
	}
	return false
}
