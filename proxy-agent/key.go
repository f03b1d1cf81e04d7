package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
)

const (
	// maxPassphrase bounds a file with a passphrase, in bytes.
	maxPassphrase = 4096
	// askTimes bounds the passphrases that the user may try, as in ssh.
	askTimes = 3
)

// openKey reads the agent's key and asks for its passphrase if it has one. If
// there is no key and mayMake is set, it makes one and sets made.
func (p program) openKey(cfg *stateConfig, mayMake bool) (key *identity.Key, made bool, err error) {
	loader := identity.Loader{AgentSocket: os.Getenv("SSH_AUTH_SOCK"), Passphrase: p.askPassphrase}
	if cfg.PassphraseFile != "" {
		loader.Passphrase = func(string) ([]byte, error) { return readPassphrase(cfg.PassphraseFile) }
	}
	for range askTimes {
		key, err = loader.Load(cfg.Key)
		if !errors.Is(err, x509.IncorrectPasswordError) {
			break
		}
		if cfg.PassphraseFile != "" {
			return nil, false, usage(fmt.Errorf("the passphrase in %s is not that of the key %s", cfg.PassphraseFile, cfg.Key))
		}
		fmt.Fprintln(p.stderr, "The passphrase is wrong.")
	}
	var known *cli.Error
	switch {
	case err == nil:
		return key, false, nil
	case errors.As(err, &known):
		return nil, false, known
	case errors.Is(err, fs.ErrNotExist) && mayMake && !strings.HasSuffix(cfg.Key, ".pub"):
		key, err = identity.GenerateKey(cfg.Key, cfg.Name)
		return key, true, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, usage(fmt.Errorf("the agent has no key at %s", cfg.Key), "make one:  proxy-agent keygen --key "+cfg.Key)
	}
	return nil, false, usage(err)
}

// readPassphrase reads a passphrase from a file that only its owner can read,
// without the line break at its end. Its errors are complete: a missing file
// never makes [program.openKey] generate a key.
func readPassphrase(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usage(fmt.Errorf("--passphrase-file: %w", err))
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, usage(fmt.Errorf("--passphrase-file: %s has mode %04o, others can read it", path, mode), "run: chmod 600 "+path)
	}
	if info.Size() > maxPassphrase {
		return nil, usage(fmt.Errorf("--passphrase-file: %s is longer than %d bytes", path, maxPassphrase))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usage(fmt.Errorf("--passphrase-file: %w", err))
	}
	return bytes.TrimRight(data, "\r\n"), nil
}

// askPassphrase asks on the terminal, without echo, until a signal arrives.
func (p program) askPassphrase(path string) ([]byte, error) {
	fd := int(p.stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil, errors.New("it is protected by a passphrase, and there is no terminal to ask for it; " +
			"name a file that holds it with --passphrase-file, or load the key into ssh-agent and name its .pub file")
	}
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("ask for its passphrase: %w", err)
	}
	fmt.Fprintf(p.stderr, "Passphrase for %s: ", path)
	type reply struct {
		passphrase []byte
		err        error
	}
	replies := make(chan reply, 1)
	// A read from a terminal cannot be canceled: after a signal this goroutine
	// ends with the process, which is about to exit.
	go func() {
		passphrase, err := term.ReadPassword(fd)
		replies <- reply{passphrase, err}
	}()
	defer fmt.Fprintln(p.stderr)
	select {
	case r := <-replies:
		if r.err != nil {
			return nil, fmt.Errorf("ask for its passphrase: %w", r.err)
		}
		return r.passphrase, nil
	case <-p.drain:
	case <-p.ctx.Done():
	}
	stopped := cli.Fail(cli.Interrupted, errors.New("stopped before the passphrase was given"))
	if err := term.Restore(fd, before); err != nil { // or the shell would not echo
		return nil, stopped.Hint("the terminal no longer echoes; run: stty echo")
	}
	return nil, stopped
}
