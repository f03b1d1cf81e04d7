package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/broker/server"
	"github.com/farforge/farforge/common/wholefile"
)

// maxTokenFile bounds the file of the admin token, in bytes.
const maxTokenFile = 4096

// newServices returns the operators' HTTP services, or nil if no file is named. It
// makes a missing token file.
func newServices(path string, list *directory.File) (*server.Services, error) {
	if path == "" {
		return nil, nil
	}
	token, err := adminToken(path)
	if err != nil {
		return nil, fmt.Errorf("--admin-token-file: %w", err)
	}
	return &server.Services{Token: token, Agents: list}, nil
}

func adminToken(path string) (string, error) {
	data, _, err := disk.ReadSecret(path, maxTokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		secret := make([]byte, 32)
		rand.Read(secret) // never fails
		data = []byte("ffadmin_" + base64.RawURLEncoding.EncodeToString(secret) + "\n")
		err = wholefile.Create(path, data, 0o600)
		if errors.Is(err, fs.ErrExist) { // another broker was quicker
			data, _, err = disk.ReadSecret(path, maxTokenFile)
		}
	}
	if err != nil {
		return "", err
	}
	token := string(bytes.TrimSpace(data))
	if len(token) < 32 || bytes.ContainsAny([]byte(token), " \t\r\n,") {
		return "", fmt.Errorf("%s holds no token of at least 32 characters; remove it to create another", path)
	}
	return token, nil
}
