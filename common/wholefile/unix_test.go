//go:build unix

package wholefile

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestModeIsExact(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o777} {
		for _, mode := range []fs.FileMode{0o600, 0o644, 0o666, 0o400} {
			path := filepath.Join(t.TempDir(), "file")
			before := syscall.Umask(umask) // no test of this package runs beside another
			err := Write(path, []byte("x"), mode)
			syscall.Umask(before)
			if err != nil {
				t.Fatal(err)
			}
			holds(t, path, "x", mode)
		}
	}
}

// TestOwner: root replaces a user's file, and it stays the user's.
func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "file")
	for _, step := range []struct {
		name string
		want uint32
	}{{"write", 0}, {"replace", 1234}} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, 1234, 1234); err != nil {
			t.Fatal(err)
		}
		if err := ways[step.name](path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != step.want || owner.Gid != step.want {
			t.Errorf("after %s it belongs to %d:%d, want %d", step.name, owner.Uid, owner.Gid, step.want)
		}
	}
}
