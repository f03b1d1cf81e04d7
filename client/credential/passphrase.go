package credential

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/farforge/farforge/common/cli"
)

// terminal is the terminal of the process, even if its standard input is redirected.
const terminal = "/dev/tty"

// AskOnTerminal returns a function that asks for the passphrase of a key file, or nil
// without a terminal. It stops asking when ctx ends.
func AskOnTerminal(ctx context.Context) func(path string) ([]byte, error) {
	tty, err := os.OpenFile(terminal, os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	if err := tty.Close(); err != nil {
		return nil
	}
	return func(path string) ([]byte, error) { return ask(ctx, path) }
}

func ask(ctx context.Context, path string) (answer []byte, err error) {
	tty, err := os.OpenFile(terminal, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("ask for the passphrase: %w", err)
	}
	defer tty.Close()
	conn, err := tty.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("ask for the passphrase: %w", err)
	}
	// Raw mode turns the echo off and makes Ctrl-C a key, because a signal would leave
	// the echo off.
	var before *term.State
	if controlErr := conn.Control(func(fd uintptr) { before, err = term.MakeRaw(int(fd)) }); controlErr != nil {
		err = controlErr
	}
	if err != nil {
		return nil, fmt.Errorf("ask for the passphrase: %w", err)
	}
	defer func() {
		_ = conn.Control(func(fd uintptr) { err = errors.Join(err, term.Restore(int(fd), before)) })
	}()
	stop := context.AfterFunc(ctx, func() { _ = tty.SetReadDeadline(time.Now()) })
	defer stop()
	text, err := term.NewTerminal(tty, "").ReadPassword("passphrase of " + path + ": ")
	switch {
	case ctx.Err() != nil || errors.Is(err, io.EOF):
		return nil, cli.Failf(cli.Interrupted, "the key %s was not opened: no passphrase was given", path)
	case err != nil:
		return nil, fmt.Errorf("ask for the passphrase: %w", err)
	}
	return []byte(text), nil
}
