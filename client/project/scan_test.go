//go:build unix

package project

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
)

func TestScan(t *testing.T) {
	dir := tree(t, map[string]string{"a.c": "text", "run.sh": "#!/bin/sh\n", "sub/empty": ""})
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("./..//a.c", filepath.Join(dir, "sub", "link")); err != nil {
		t.Fatal(err)
	}
	p := open(t, dir)
	m, err := p.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	want := []channel.File{
		{Path: "a.c", Kind: channel.KindFile, Size: 4, SHA256: sum("text")},
		{Path: "run.sh", Kind: channel.KindExecutable, Size: 10, SHA256: sum("#!/bin/sh\n")},
		{Path: "sub/empty", Kind: channel.KindFile, SHA256: sum("")},
		{Path: "sub/link", Kind: channel.KindSymlink, Link: "../a.c"},
	}
	if len(m.Files) != len(want) {
		t.Fatalf("%d files, want %d: %v", len(m.Files), len(want), m.Files)
	}
	for i, f := range m.Files {
		if f != want[i] {
			t.Errorf("got  %+v\nwant %+v", f, want[i])
		}
	}
	r, err := p.OpenFile(m.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, _ := io.ReadAll(r); string(text) != "text" {
		t.Errorf("a.c reads as %q", text)
	}
}

// TestRefusedFiles: a file that cannot be sent is an error with its name and a hint,
// and the hint works.
func TestRefusedFiles(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, dir string) error
		want string
	}{
		{"symlink out", func(_ *testing.T, dir string) error { return os.Symlink("../../etc/passwd", filepath.Join(dir, "bad")) }, "cannot send bad: it is a symlink to ../../etc/passwd, which can lead out of the project"},
		{"absolute symlink", func(_ *testing.T, dir string) error { return os.Symlink("/etc", filepath.Join(dir, "bad")) }, "cannot send bad: it is a symlink to the absolute path /etc"},
		{"symlink that climbs later", func(_ *testing.T, dir string) error { return os.Symlink("x/../../..", filepath.Join(dir, "bad")) }, "can lead out of the project"},
		{"named pipe", func(_ *testing.T, dir string) error { return syscall.Mkfifo(filepath.Join(dir, "bad"), 0o644) }, "cannot send bad: it is a named pipe, not a file"},
		{"socket", func(t *testing.T, dir string) error {
			l, err := net.Listen("unix", filepath.Join(dir, "bad"))
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		}, "cannot send bad: it is a socket, not a file"},
		{"device", func(t *testing.T, dir string) error {
			err := syscall.Mknod(filepath.Join(dir, "bad"), syscall.S_IFCHR|0o600, 1<<8|3)
			if errors.Is(err, syscall.EPERM) {
				t.Skip("only root makes devices")
			}
			return err
		}, "cannot send bad: it is a device, not a file"},
		{"unreadable", func(t *testing.T, dir string) error {
			if os.Geteuid() == 0 {
				t.Skip("root reads everything")
			}
			return os.WriteFile(filepath.Join(dir, "bad"), nil, 0)
		}, "cannot send bad: it cannot be read: permission denied"},
		{"case collision", func(_ *testing.T, dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "bad"), nil, 0o644), os.WriteFile(filepath.Join(dir, "BAD"), nil, 0o644))
		}, `"BAD" and "bad" differ only in case`},
		{"control character", func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, "bad\n"), nil, 0o644)
		}, `has a control character`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, map[string]string{"p/good.c": ""})
			dir = filepath.Join(dir, "p")
			if err := tt.make(t, dir); err != nil {
				t.Fatal(err)
			}
			_, err := open(t, dir).Scan(t.Context())
			var e *cli.Error
			if !errors.As(err, &e) || e.Exit != cli.Usage || !strings.Contains(err.Error(), tt.want) || len(e.Hints) == 0 {
				t.Fatalf("got %v, want usage error with %q and a hint", err, tt.want)
			}
			if err := os.WriteFile(filepath.Join(dir, IgnoreName), []byte("/bad*\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := open(t, dir).Scan(t.Context()); err != nil {
				t.Errorf("the hint's rule does not help: %v", err)
			}
		})
	}
}

func TestSymlinkToFolderIsNotFollowed(t *testing.T) {
	outside := tree(t, map[string]string{"secret": ""})
	dir := tree(t, map[string]string{"a.c": "", "sub/b.c": ""})
	if err := os.Symlink("sub", filepath.Join(dir, "again")); err != nil {
		t.Fatal(err)
	}
	if got, want := list(t, dir), "a.c again sub/b.c"; got != want {
		t.Errorf("sent are %q, want %q", got, want)
	}
	// A folder becomes a symlink that leads out after it was listed.
	p := open(t, dir)
	m, err := p.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "sub")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(outside, "secret"), filepath.Join(outside, "b.c")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "sub")); err != nil {
		t.Fatal(err)
	}
	if f, err := p.OpenFile(m.Files[2]); err == nil {
		f.Close()
		t.Errorf("%s was opened through a symlink that leads out", m.Files[2].Path)
	}
}

// TestPipeInPlaceOfAFile: a pipe without a writer does not block the client.
func TestPipeInPlaceOfAFile(t *testing.T) {
	dir := tree(t, map[string]string{"a.c": ""})
	p := open(t, dir)
	if err := os.Remove(filepath.Join(dir, "a.c")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "a.c"), 0o644); err != nil {
		t.Fatal(err)
	}
	if f, err := p.OpenFile(channel.File{Path: "a.c"}); err == nil {
		f.Close()
		t.Error("a pipe was opened as a file")
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, tree(t, map[string]string{"a.c": ""})).Scan(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := tree(t, map[string]string{"file": "", "bad/" + ConfigName: "name = 1\n"})
	for _, tt := range []struct{ dir, want string }{
		{"none", "there is no folder"},
		{"file", "is a file, not the folder of a project"},
		{"bad", "farforge.toml: line 1"},
	} {
		_, err := Open(filepath.Join(dir, tt.dir))
		if cli.Code(err) != cli.Usage || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.dir, err, tt.want)
		}
	}
	if _, err := open(t, t.TempDir()).Scan(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing to send") {
		t.Errorf("empty folder: %v", err)
	}
}
