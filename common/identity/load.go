package identity

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"

	"golang.org/x/crypto/ssh"
)

// MinRSABits is the shortest RSA key that is accepted.
const MinRSABits = 3072

// Loader reads keys that may be protected. The zero value reads unprotected
// ones.
type Loader struct {
	// Passphrase is asked for the passphrase of a protected key file. Nil makes
	// such a file an error.
	Passphrase func(path string) ([]byte, error)
	// AgentSocket is where ssh-agent listens, usually $SSH_AUTH_SOCK. It is used
	// for keys of which the file holds only the public half.
	AgentSocket string
}

// Load reads the key at path: a private key in OpenSSH format, protected by a
// passphrase or not, or a public key whose private half ssh-agent holds. It
// refuses a private key that others may read, as ssh does, because such a key
// is no proof of anything, and RSA keys below MinRSABits.
func (l Loader) Load(path string) (*Key, error) {
	signer, err := l.load(path)
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", path, err)
	}
	if err := CheckStrength(signer.PublicKey()); err != nil {
		return nil, fmt.Errorf("read the key %s: %w", path, err)
	}
	return &Key{signer: signer}, nil
}

func (l Loader) load(path string) (ssh.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(bytes.TrimSpace(data)); err == nil {
		return newAgentSigner(l.AgentSocket, public)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("it has mode %04o, others can read it; run: chmod 600 %s", mode, path)
	}
	signer, err := ssh.ParsePrivateKey(data)
	var protected *ssh.PassphraseMissingError
	if !errors.As(err, &protected) {
		return signer, err
	}
	if l.Passphrase == nil {
		return nil, errors.New("it is protected by a passphrase; load it into ssh-agent and name its .pub file instead")
	}
	passphrase, err := l.Passphrase(path)
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKeyWithPassphrase(data, passphrase)
}

// CheckStrength refuses keys that prove too little: DSA, RSA below MinRSABits,
// and kinds that OpenSSH has but we do not know.
func CheckStrength(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	case ssh.KeyAlgoRSA:
		crypto, ok := key.(ssh.CryptoPublicKey)
		if !ok {
			return errors.New("an RSA key that cannot be measured")
		}
		if public, ok := crypto.CryptoPublicKey().(*rsa.PublicKey); !ok || public.N.BitLen() < MinRSABits {
			return fmt.Errorf("an RSA key of fewer than %d bits; make another with: ssh-keygen -t ed25519", MinRSABits)
		}
		return nil
	default:
		return fmt.Errorf("a key of the type %s; ed25519, ECDSA and RSA are accepted", key.Type())
	}
}
