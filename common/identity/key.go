// Package identity identifies agents and users by their SSH keys. It makes and checks
// signatures, reads the list in which an operator authorizes agents, and keeps the list
// of the agents that a client knows.
//
// Signatures are SSHSIG (OpenSSH's PROTOCOL.sshsig), so ssh-keygen -Y verify
// accepts them. Each purpose has a namespace of its own, and the signed bytes
// name purpose and version again, so that a signature made for one purpose is
// invalid for another.
//
// An agent, and likewise a user, proves itself to a broker by challenge and
// response:
//
//	agent                                         broker
//	  │ hello: public key, agent nonce ─────────────▶│
//	  │◀──────────────── challenge, origin, expiry ──│ stores nothing
//	  │ session: both again, SSHSIG over             │
//	  │   domain, version, role, origin,             │
//	  │   challenge, agent nonce, fingerprint ──────▶│ checks all of it
//	  │◀──────────────────────────── session token ──│
//
// The agent signs the origin that it dialed, so a broker gains nothing by passing on
// another broker's challenge.
package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/wholefile"
)

// SSHSIG namespaces, one for each purpose.
const (
	NamespaceSession = "session@farforge"
	NamespaceReport  = "job-report@farforge"
)

// Key is the private key of an agent or a user. It is safe for concurrent use.
type Key struct {
	signer ssh.Signer
}

// GenerateKey makes an ed25519 key, writes it to path with mode 0600 and its
// public half beside it as path.pub. It never overwrites: an existing file
// is an error that wraps fs.ErrExist.
func GenerateKey(path, comment string) (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	key := &Key{signer: signer}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("write the key: %w", err)
	}
	if err := wholefile.Create(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, fmt.Errorf("write the key: %w", err)
	}
	if err := os.WriteFile(path+".pub", []byte(key.PublicLine(comment)+"\n"), 0o644); err != nil {
		return nil, fmt.Errorf("write the public key: %w", err)
	}
	return key, nil
}

// Public returns the public key.
func (k *Key) Public() ssh.PublicKey { return k.signer.PublicKey() }

// Fingerprint returns the key's fingerprint, "SHA256:…", as ssh-keygen -l prints it.
func (k *Key) Fingerprint() string { return ssh.FingerprintSHA256(k.signer.PublicKey()) }

// PublicLine returns the public key as one line for an authorized_agents file.
func (k *Key) PublicLine(comment string) string {
	line := string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(k.signer.PublicKey())))
	if comment != "" {
		line += " " + comment
	}
	return line
}

// Sign returns an armored SSHSIG over message in the given namespace.
func (k *Key) Sign(namespace string, message []byte) (string, error) {
	sig, err := sshsig.Sign(bytes.NewReader(message), k.signer, sshsig.HashSHA512, namespace)
	if err != nil {
		return "", fmt.Errorf("sign for %s: %w", namespace, err)
	}
	return string(sshsig.Armor(sig)), nil
}

// Verify checks that signature is an armored SSHSIG over message by pub in the
// given namespace.
func Verify(pub ssh.PublicKey, namespace string, message []byte, signature string) error {
	sig, err := sshsig.Unarmor([]byte(signature))
	if err != nil {
		return fmt.Errorf("read the signature: %w", err)
	}
	if err := sshsig.Verify(bytes.NewReader(message), sig, pub, sig.HashAlgorithm, namespace); err != nil {
		return fmt.Errorf("check the signature of %s for %s: %w", ssh.FingerprintSHA256(pub), namespace, err)
	}
	return nil
}
