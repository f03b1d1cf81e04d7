package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/wholefile"
)

// Key is an age identity: an agent's permanent sealing key, or a client's reply key
// for one job.
type Key struct {
	identity *age.X25519Identity
}

// NewKey makes a key.
func NewKey() (*Key, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make a sealing key: %w", err)
	}
	return &Key{identity: id}, nil
}

// LoadOrGenerateKey reads the sealing key at path, or makes one there with mode
// 0600. It refuses a key that other users can read.
func LoadOrGenerateKey(path string) (*Key, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return generate(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the sealing key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("read the sealing key: %s has mode %04o, others can read it; delete it, and the agent makes another", path, mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the sealing key: %w", err)
	}
	id, err := age.ParseX25519Identity(string(bytes.TrimSpace(data)))
	if err != nil {
		return nil, fmt.Errorf("read the sealing key %s: %w", path, err)
	}
	return &Key{identity: id}, nil
}

func generate(path string) (*Key, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("write the sealing key: %w", err)
	}
	if err := wholefile.Create(path, []byte(key.identity.String()+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write the sealing key: %w", err)
	}
	return key, nil
}

// Recipient returns the public half, "age1…".
func (k *Key) Recipient() string { return k.identity.Recipient().String() }

// Bind signs the sealing key with the agent's SSH key.
func (k *Key) Bind(agent *identity.Key) (*api.SealingKey, error) {
	signature, err := agent.Sign(NamespaceSealing, bindingBytes(k.Recipient()))
	if err != nil {
		return nil, fmt.Errorf("bind the sealing key: %w", err)
	}
	return &api.SealingKey{Recipient: k.Recipient(), Signature: signature}, nil
}

// CheckBinding verifies that the agent with the public key signed the sealing key.
func CheckBinding(agent ssh.PublicKey, key *api.SealingKey) error {
	if key == nil {
		return fmt.Errorf("the agent %s has no sealing key", ssh.FingerprintSHA256(agent))
	}
	if _, err := age.ParseX25519Recipient(key.Recipient); err != nil {
		return fmt.Errorf("the sealing key of %s: %w", ssh.FingerprintSHA256(agent), err)
	}
	if err := identity.Verify(agent, NamespaceSealing, bindingBytes(key.Recipient), key.Signature); err != nil {
		return fmt.Errorf("the agent has not signed the sealing key: %w", err)
	}
	return nil
}

func bindingBytes(recipient string) []byte {
	return []byte("farforge sealing key v1\n" + recipient + "\n")
}

func (k *Key) open(body []byte) ([]byte, error) {
	if len(body) > api.MaxOffer {
		return nil, fmt.Errorf("open the envelope: it is %d bytes long, at most %d are allowed", len(body), api.MaxOffer)
	}
	r, err := age.Decrypt(bytes.NewReader(body), k.identity)
	if err != nil {
		return nil, fmt.Errorf("open the envelope: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, api.MaxOffer))
	if err != nil {
		return nil, fmt.Errorf("open the envelope: %w", err)
	}
	return plain, nil
}

func seal(plain []byte, recipients ...string) ([]byte, error) {
	if len(plain) > maxPlain {
		return nil, fmt.Errorf("seal the envelope: %d bytes, at most %d are allowed", len(plain), maxPlain)
	}
	parsed := make([]age.Recipient, 0, len(recipients))
	for _, text := range recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, fmt.Errorf("seal the envelope: %w", err)
		}
		parsed = append(parsed, r)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, parsed...)
	if err != nil {
		return nil, fmt.Errorf("seal the envelope: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("seal the envelope: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal the envelope: %w", err)
	}
	return out.Bytes(), nil
}
