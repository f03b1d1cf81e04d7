package main

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keyFile is the grant signing key: PKCS #8 in PEM, for the broker's eyes only.
const keyFile = "grant-key.pem"

// loadKey reads the grant signing key from the folder, or makes both.
func loadKey(dir string) (ed25519.PrivateKey, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("--state-dir: %w", err)
	}
	path := filepath.Join(dir, keyFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("--state-dir: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("--state-dir: %s has mode %04o, others can read it; run: chmod 600 %s", path, mode, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--state-dir: %w", err)
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, fmt.Errorf("--state-dir: %s: %w", path, err)
	}
	return key, nil
}

func parseKey(data []byte) (ed25519.PrivateKey, error) {
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

// makeKey writes a new key. The file appears whole or not at all, and a key
// that another broker made meanwhile is not overwritten.
func makeKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the grant signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make the grant signing key: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".grant-key-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("--state-dir: %w", err)
	}
	defer os.Remove(f.Name())
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if err != nil {
		return nil, fmt.Errorf("--state-dir: write the grant signing key: %w", err)
	}
	return key, nil
}

// deriveSecret returns the secret of challenges and sessions. It follows from
// the signing key, so that they outlive a restart.
func deriveSecret(key ed25519.PrivateKey) ([]byte, error) {
	secret, err := hkdf.Key(sha256.New, key.Seed(), nil, "farforge broker sessions v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the session secret: %w", err)
	}
	return secret, nil
}
