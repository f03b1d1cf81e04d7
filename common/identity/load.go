package identity

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/wholefile"
)

// MinRSABits is the shortest RSA key that is accepted.
const MinRSABits = 3072

// Loader reads keys that may be protected. The zero value reads unprotected
// ones.
type Loader struct {
	// Passphrase returns the passphrase of a protected key file. Nil makes such a
	// file an error.
	Passphrase func(path string) ([]byte, error)
	// AgentSocket is the address of ssh-agent, usually $SSH_AUTH_SOCK. Load uses it
	// for a file with only the public half of a key.
	AgentSocket string
}

// Load reads the key at path: a private key in OpenSSH format, protected by a
// passphrase or not, or a public key whose private half ssh-agent holds. It
// refuses a private key that others may read, as ssh does, because such a key
// proves nothing, and RSA keys below MinRSABits.
func (l Loader) Load(path string) (*Key, error) {
	signer, err := l.load(path)
	if err == nil {
		err = CheckStrength(signer.PublicKey())
	}
	if err != nil {
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
	if data, err = wholefile.Text(data); err != nil {
		return nil, err
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(bytes.TrimSpace(data)); err == nil {
		return newAgentSigner(l.AgentSocket, public)
	}
	if OthersCanRead(info.Mode()) {
		return nil, fmt.Errorf("it has mode %04o, others can read it; run: chmod 600 %s", info.Mode().Perm(), path)
	}
	signer, err := ssh.ParsePrivateKey(data)
	var protected *ssh.PassphraseMissingError
	if !errors.As(err, &protected) {
		return signer, foreign(path, data, err)
	}
	if l.Passphrase == nil {
		return nil, errors.New("it is protected by a passphrase; load it into ssh-agent and name its .pub file instead")
	}
	passphrase, err := l.Passphrase(path)
	if err != nil {
		return nil, err
	}
	signer, err = ssh.ParsePrivateKeyWithPassphrase(data, passphrase)
	return signer, foreign(path, data, err)
}

// foreign adds a hint to the error for a key file in another form: the command that
// converts it.
func foreign(path string, data []byte, err error) error {
	convert := ""
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "unknown cipher"):
		convert = "ssh-keygen -p -Z aes256-ctr -f " + path
	case bytes.HasPrefix(data, []byte("PuTTY-User-Key-File")):
		convert = "puttygen " + path + " -O private-openssh -o NEWFILE"
	case bytes.HasPrefix(data, []byte("---- BEGIN SSH2 PUBLIC KEY")):
		convert = "ssh-keygen -i -f " + path + " > NEWFILE.pub"
	case bytes.Contains(data, []byte("-----BEGIN ENCRYPTED PRIVATE KEY")):
		convert = "ssh-keygen -p -f " + path
	default:
		return err
	}
	return fmt.Errorf("%w; convert it with: %s", err, convert)
}

// OthersCanRead reports whether other users of this machine can read a file of this
// mode. It returns false on Windows, where the mode does not show that.
func OthersCanRead(mode fs.FileMode) bool { return othersCanRead(runtime.GOOS, mode) }

func othersCanRead(system string, mode fs.FileMode) bool {
	return system != "windows" && mode.Perm()&0o077 != 0
}

// CheckStrength refuses keys that are too weak: DSA, RSA below MinRSABits,
// and kinds that OpenSSH has but Farforge does not. Its errors wrap ErrUnusable.
func CheckStrength(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	case ssh.KeyAlgoRSA:
		crypto, ok := key.(ssh.CryptoPublicKey)
		if !ok {
			return fmt.Errorf("%w: it is an RSA key of unknown length", ErrUnusable)
		}
		if public, ok := crypto.CryptoPublicKey().(*rsa.PublicKey); !ok || public.N.BitLen() < MinRSABits {
			return fmt.Errorf("%w: it is an RSA key of fewer than %d bits; make another with: ssh-keygen -t ed25519", ErrUnusable, MinRSABits)
		}
		return nil
	default:
		return fmt.Errorf("%w: it is of the type %s; ed25519, ECDSA and RSA are accepted", ErrUnusable, key.Type())
	}
}
