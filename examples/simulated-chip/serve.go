package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/farforge/farforge/common/wholefile"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// portError is a failure of a port or a file, not of the usage.
type portError struct {
	err  error
	hint string
}

func (e *portError) Error() string { return e.err.Error() }
func (e *portError) Unwrap() error { return e.err }

// announcement is the one line on stdout, as JSON.
type announcement struct {
	Simulated bool   `json:"simulated"`
	Chip      string `json:"chip"`
	Transport string `json:"transport"`
	Port      string `json:"port"`
	Link      string `json:"link,omitempty"`
}

// serve opens the port, prints its name and runs the chip until ctx ends.
func serve(ctx context.Context, o options, cfg simulator.Config, stdout, stderr io.Writer) (err error) {
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelDebug
	}
	cfg.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	if cfg.Flash, err = loadFlash(o.flash); err != nil {
		return err
	}
	chip, err := simulator.New(cfg)
	if err != nil {
		return &portError{err: err, hint: "a file for --flash must fit into --flash-size"}
	}
	defer func() {
		if e := saveFlash(o.flash, chip.Flash()); err == nil {
			err = e
		}
	}()
	a := announcement{Simulated: true, Chip: o.chip, Transport: "pty", Link: o.link}
	if o.tcp != "" {
		l, err := net.Listen("tcp", o.tcp)
		if err != nil {
			return &portError{err: err, hint: "port 0 takes any free port: --tcp 127.0.0.1:0"}
		}
		a.Transport, a.Port = "tcp", l.Addr().String()
		if err := a.print(stdout, o.json); err != nil {
			l.Close()
			return err
		}
		return chip.ServeListener(ctx, l)
	}
	pty, err := simulator.OpenPTY()
	if err != nil {
		return &portError{err: err, hint: "serve on TCP instead: --tcp 127.0.0.1:0"}
	}
	a.Port = pty.Name()
	remove, err := link(o.link, a.Port)
	if err != nil {
		pty.Close()
		return err
	}
	defer remove()
	if err := a.print(stdout, o.json); err != nil {
		pty.Close()
		return err
	}
	return chip.Serve(ctx, pty)
}

func (a announcement) print(w io.Writer, asJSON bool) error {
	line := []byte(a.Port)
	if asJSON {
		var err error
		if line, err = json.Marshal(a); err != nil {
			return fmt.Errorf("describe the port: %w", err)
		}
	}
	if _, err := fmt.Fprintf(w, "%s\n", line); err != nil {
		return &portError{err: fmt.Errorf("print the port's name: %w", err)}
	}
	return nil
}

// loadFlash reads the file if there is one.
func loadFlash(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	p, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &portError{err: fmt.Errorf("read the flash: %w", err)}
	}
	return p, nil
}

// saveFlash writes the contents. An existing file keeps its mode. A new one can be read
// by its owner only, since flash may hold the password of a network.
func saveFlash(path string, contents []byte) error {
	if path == "" {
		return nil
	}
	if err := wholefile.Replace(path, contents, 0o600); err != nil {
		return &portError{err: fmt.Errorf("keep the flash: %w", err)}
	}
	return nil
}

// link makes path a link to the terminal. It replaces only a link to a device, which an
// earlier run left behind.
func link(path, target string) (remove func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	if old, err := os.Readlink(path); err == nil && strings.HasPrefix(old, "/dev/") {
		if err := os.Remove(path); err != nil {
			return nil, &portError{err: fmt.Errorf("replace the link: %w", err)}
		}
	}
	if err := os.Symlink(target, path); err != nil {
		return nil, &portError{err: fmt.Errorf("make the link: %w", err), hint: "choose a path that does not exist yet"}
	}
	return func() {
		// Another run may own the path now.
		if now, err := os.Readlink(path); err == nil && now == target {
			os.Remove(path)
		}
	}, nil
}
