//go:build unix

package build

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// asNobody runs some of this package's tests again as a user without rights, if
// the user is root.
func asNobody(t *testing.T, pattern string) {
	t.Helper()
	if os.Getuid() != 0 {
		return // they run as an ordinary user anyway
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "farforge-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	err = errors.Join(err, os.WriteFile(filepath.Join(dir, "build.test"), program, 0o755), os.Chmod(dir, 0o755),
		os.Mkdir(filepath.Join(dir, "tmp"), 0o700), os.Chown(filepath.Join(dir, "tmp"), nobody, nobody))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "build.test"), "-test.v", "-test.run", pattern)
	cmd.Dir = filepath.Join(dir, "tmp")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + cmd.Dir, "HOME=" + cmd.Dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}
