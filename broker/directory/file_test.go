package directory

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farforge/farforge/common/identity"
)

// onDisk is a File with its log and an adjustable clock.
type onDisk struct {
	*File
	t   *testing.T
	log *bytes.Buffer
}

func openList(t *testing.T, text string) *onDisk {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authorized_agents")
	o := &onDisk{t: t, log: &bytes.Buffer{}}
	o.write(path, text)
	f, err := OpenFile(path, slog.New(slog.NewTextHandler(o.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	o.File = f
	return o
}

func (o *onDisk) write(path, text string) {
	o.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		o.t.Fatal(err)
	}
}

func (o *onDisk) names() string {
	var names []string
	for s, i := o.Directory().Snapshot(), 0; i < s.Len(); i++ {
		names = append(names, s.At(i).Name)
	}
	return strings.Join(names, " ")
}

// check calls Check and returns what it logged.
func (o *onDisk) check() string {
	o.log.Reset()
	o.Check()
	return o.log.String()
}

func line(t *testing.T, name string) string {
	key, _ := keyed(t, name)
	return key.PublicLine(name) + "\n"
}

func TestFileIsReadAgainWhenItChanges(t *testing.T) {
	a, b := line(t, "bench-1"), line(t, "bench-2")
	o := openList(t, "# ours\n"+a)
	if got := o.check(); got != "" || o.names() != "bench-1" {
		t.Errorf("%s: %s", o.names(), got)
	}
	o.write(o.Path(), a+b)
	if got := o.check(); !strings.Contains(got, "agents=2 added=1 removed=0") || o.names() != "bench-1 bench-2" {
		t.Errorf("%s: %s", o.names(), got)
	}
	for what, spoil := range map[string]func(){
		"line 2: not a public key": func() { o.write(o.Path(), a+"rubbish\n") },
		"more than 4194304 bytes":  func() { o.write(o.Path(), a+strings.Repeat("#\n", identity.MaxAuthorizedFile/2)) },
		"no such file":             func() { _ = os.Remove(o.Path()) },
		"others can change it; run: chmod o-w": func() {
			o.write(o.Path(), a)
			if err := os.Chmod(o.Path(), 0o666); err != nil {
				t.Fatal(err)
			}
		},
	} {
		spoil()
		if got := o.check(); !strings.Contains(got, what) || !strings.Contains(got, "the old one stays in use") || o.names() != "bench-1 bench-2" {
			t.Errorf("want %q: %s: %.300s", what, o.names(), got)
		}
		if got := o.check(); got != "" {
			t.Errorf("%q is logged twice: %.300s", what, got)
		}
		_ = os.Chmod(o.Path(), 0o644)
	}
	o.write(o.Path(), b)
	if o.Reload(); o.names() != "bench-2" {
		t.Error(o.names())
	}
	if _, err := OpenFile(filepath.Join(t.TempDir(), "none"), o.File.log); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a list that does not exist: %v", err)
	}
}

// A key that OpenSSH can use and we cannot must not keep the broker from
// starting, nor commands from editing the list.
func TestUnusableKeysAreSkipped(t *testing.T) {
	sk := "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABHNzaDo= token\n"
	a, b := line(t, "bench-1"), line(t, "bench-2")
	o := openList(t, "\ufeff"+sk+a)
	if text := o.log.String(); o.names() != "bench-1" || !strings.Contains(text, "line 1: ") || !strings.Contains(text, "sk-ssh-ed25519") {
		t.Errorf("%s: %s", o.names(), text)
	}
	if _, err := AddLines(o.Path(), "\ufeff"+b); err != nil {
		t.Fatal(err)
	}
	if o.Check(); o.names() != "bench-1 bench-2" {
		t.Error(o.names())
	}
	if _, err := RemoveLine(o.Path(), "bench-1"); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(o.Path()); err != nil || string(data) != sk+b {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := AddLines(o.Path(), sk); !errors.Is(err, ErrBadLine) || !errors.Is(err, identity.ErrUnusable) {
		t.Errorf("an unusable key was added: %v", err)
	}
}

func TestExpiredAgentsAreRemoved(t *testing.T) {
	a, b := line(t, "bench-1"), line(t, "bench-2")
	o := openList(t, `expiry-time="20300101Z" `+a+`expiry-time="20280101Z" `+b)
	if o.names() != "bench-1 bench-2" {
		t.Fatal(o.names())
	}
	o.now = func() time.Time { return time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC) }
	if got := o.check(); !strings.Contains(got, "agents=1 added=0 removed=1 expired=1") || o.names() != "bench-1" {
		t.Errorf("%s: %s", o.names(), got)
	}
	if got := o.check(); got != "" {
		t.Error(got)
	}
	o.now = func() time.Time { return time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC) }
	if o.Check(); o.names() != "" {
		t.Error(o.names())
	}
}

func TestEditsKeepTheOtherLines(t *testing.T) {
	a, b, c := line(t, "bench-1"), line(t, "bench-2"), line(t, "bench-3")
	o := openList(t, "# ours\r\n"+`targets="esp32" `+a+"\n  # the other room\n"+strings.TrimSuffix(b, "\n"))
	if err := os.Chmod(o.Path(), 0o640); err != nil {
		t.Fatal(err)
	}
	who, err := o.Add(strings.TrimSpace(c))
	if err != nil || who.Name != "bench-3" || o.names() != "bench-1 bench-2 bench-3" {
		t.Fatalf("%+v, %v, %s", who, err, o.names())
	}
	if who, err = o.Remove("bench-1"); err != nil || who.Name != "bench-1" || who.Targets[0] != "esp32" || o.names() != "bench-2 bench-3" {
		t.Fatalf("%+v, %v, %s", who, err, o.names())
	}
	data, err := os.ReadFile(o.Path())
	if want := "# ours\r\n\n  # the other room\n" + b + c; err != nil || string(data) != want {
		t.Errorf("the file is now %q, want %q", data, want)
	}
	if info, _ := os.Stat(o.Path()); info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v", info.Mode())
	}
	if got := o.check(); got != "" {
		t.Errorf("the broker reads its own change again: %s", got)
	}
	if _, err := o.Remove(o.Directory().Snapshot().At(0).Fingerprint); err != nil || o.names() != "bench-3" {
		t.Errorf("by fingerprint: %v, %s", err, o.names())
	}
}

func TestEditsAreRefused(t *testing.T) {
	a, b := line(t, "bench-1"), line(t, "bench-2")
	o := openList(t, a)
	add := func(text string) error { _, err := AddLines(o.Path(), text); return err }
	for _, tt := range []struct {
		err  error
		want error
		text string
	}{
		{add(a), ErrListed, "bench-1, SHA256:"},
		{add(strings.Replace(a, "bench-1", "other", 1)), ErrListed, "bench-1, SHA256:"},
		{add(strings.Replace(b, "bench-2", "bench-1", 1)), ErrListed, "bench-1, SHA256:"},
		{add(b + b), ErrBadLine, "is on line 1 already"},
		{add(b + "rubbish"), ErrBadLine, "line 2: not a public key"},
		{add("command=\"x\" " + b), ErrBadLine, `the option "command" is unknown`},
		{add("# only a comment\n"), ErrBadLine, "there is no key in it"},
		{errOf(o.Add(b + b)), ErrBadLine, "more than one line"},
		{errOf(o.Remove("bench-2")), ErrNotListed, "bench-2"},
		{errOf(o.Remove("")), ErrNotListed, ""},
	} {
		if !errors.Is(tt.err, tt.want) || !strings.Contains(tt.err.Error(), tt.text) {
			t.Errorf("got %v, want %v with %q", tt.err, tt.want, tt.text)
		}
	}
	if data, _ := os.ReadFile(o.Path()); string(data) != a {
		t.Errorf("a refused change changed the file: %s", data)
	}
	o.write(o.Path(), "rubbish\n")
	if err := add(b); err == nil || !strings.Contains(err.Error(), "is broken, repair it first") || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a broken list: %v", err)
	}
}

func errOf(_ identity.Authorized, err error) error { return err }

// TestConcurrentEdits: commands that run at the same time lose no agent.
func TestConcurrentEdits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "authorized_agents") // the first one makes it
	var wg sync.WaitGroup
	for i := range 8 {
		text := line(t, fmt.Sprint("bench-", i))
		wg.Go(func() {
			if _, err := AddLines(path, text); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if agents, err := ReadFile(path, nil); err != nil || len(agents) != 8 {
		t.Errorf("%d agents, %v", len(agents), err)
	}
}
