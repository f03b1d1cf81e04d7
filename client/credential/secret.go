package credential

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/wholefile"
)

const (
	// maxSecret bounds a secret, in bytes. Tokens of large issuers have 4 KiB.
	maxSecret = 16 << 10
	// passphraseTries bounds the tries for one passphrase.
	passphraseTries = 3
)

// fromFile reads the secret anew for every request, because issuers of short-lived
// tokens replace the file. It also reads it at the start, so that an error is reported
// before anything else is done.
func fromFile(what, path string) (*Credential, error) {
	name := what + path
	if _, err := readSecret(name, path); err != nil {
		return nil, err
	}
	return &Credential{Name: name, Token: func(context.Context) (string, error) { return readSecret(name, path) }}, nil
}

func fromVariable(what, variable, value string) (*Credential, error) {
	token, err := oneToken(what+variable, value)
	if err != nil {
		return nil, err
	}
	return &Credential{Name: what + variable, Token: func(context.Context) (string, error) { return token, nil }}, nil
}

// readSecret reads a secret from a file that other users cannot read.
func readSecret(name, path string) (string, error) {
	fail := func(err error) error { return cli.Failf(cli.Usage, "cannot use %s: %w", name, err) }
	f, err := os.Open(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return "", fail(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fail(err)
	}
	if !info.Mode().IsRegular() {
		return "", fail(errors.New("it is not a regular file"))
	}
	if mode := info.Mode().Perm(); identity.OthersCanRead(mode) {
		return "", cli.Failf(cli.Usage, "cannot use %s: the file has mode %04o, so others on this machine can read it", name, mode).
			Hint("run:  chmod 600 " + path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fail(err)
	}
	if text, err = wholefile.Text(text); err != nil {
		return "", fail(err)
	}
	return oneToken(name, string(text))
}

// oneToken accepts a token that fits into an Authorization header (RFC 6750, section
// 2.1). Its errors never show the secret.
func oneToken(name, text string) (string, error) {
	token := strings.TrimSpace(text)
	outside := func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }
	switch {
	case token == "":
		return "", cli.Failf(cli.Usage, "cannot use %s: it is empty", name)
	case len(token) > maxSecret:
		return "", cli.Failf(cli.Usage, "cannot use %s: it is longer than %d bytes", name, maxSecret)
	case strings.ContainsFunc(token, outside):
		return "", cli.Failf(cli.Usage, "cannot use %s: it is not a single line with a key or token", name)
	}
	return token, nil
}

// load reads the SSH key, and asks again after a mistyped passphrase.
func load(path string, loader identity.Loader) (*identity.Key, error) {
	for try := 1; ; try++ {
		key, err := loader.Load(path)
		if err == nil {
			return key, nil
		}
		if errors.Is(err, x509.IncorrectPasswordError) && try < passphraseTries {
			continue
		}
		var known *cli.Error
		if errors.As(err, &known) {
			return nil, known
		}
		e := cli.Fail(cli.Usage, err)
		if loader.Passphrase == nil && protected(path) {
			e.Hint("run the client in a terminal, where it can ask for the passphrase")
		}
		return nil, e
	}
}

func protected(path string) bool {
	text, err := os.ReadFile(path)
	return err == nil && bytes.Contains(text, []byte("PRIVATE KEY-----"))
}
