package artifacts

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/farforge/farforge/common/channel"
)

// TestMain lets the test binary run as a client that waits for artifacts.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FARFORGE_TEST_WAIT_IN"); dir != "" {
		state, err := os.OpenRoot(dir)
		if err == nil {
			_, err = Begin(state)
		}
		fmt.Println("waiting", err)
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

// TestFoldersOfKilledClients: the next client removes the folder of a killed client,
// and keeps that of a waiting one, however long it has waited.
func TestFoldersOfKilledClients(t *testing.T) {
	state := newState(t)
	client := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "FARFORGE_TEST_WAIT_IN="+state.Name())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "waiting <nil>\n" {
			t.Fatal(line, err)
		}
		return cmd
	}
	waiting := client()
	long := time.Now().Add(-300 * 24 * time.Hour)
	for _, name := range leftovers(state) {
		if err := state.Chtimes(name, long, long); err != nil {
			t.Fatal(err)
		}
	}
	killed := client()
	if n := len(leftovers(state)); n != 2 {
		t.Fatalf("%d folders of two clients", n)
	}
	killed.Process.Kill()
	killed.Wait()
	begun := func() int {
		in, err := Begin(state)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Discard()
		return len(leftovers(state)) - 1
	}
	if n := begun(); n != 1 {
		t.Errorf("the next client leaves %d folders, want that of the waiting client alone", n)
	}
	waiting.Process.Kill()
	waiting.Wait()
	if n := begun(); n != 0 {
		t.Errorf("the next client leaves %d folders of killed clients", n)
	}
	only(t, state)
}

// TestKilledInTheExchange: a client was killed after it moved the last build away.
func TestKilledInTheExchange(t *testing.T) {
	for _, at := range []string{"incoming-ABC/last", "old-ABC"} {
		for _, first := range []string{"build", "flash", "verify"} {
			t.Run(at+" "+first, func(t *testing.T) {
				set, state, known := kept(t)
				project, name := filepath.Dir(state), filepath.Base(state)
				if err := os.MkdirAll(filepath.Join(state, "incoming-ABC", filesName), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(set.Dir, filepath.Join(state, at)); err != nil {
					t.Fatal(err)
				}
				// An old build on this machine must not be flashed instead.
				if err := os.MkdirAll(filepath.Join(project, "build"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(project, "build", "flasher_args.json"), []byte(flashMap), 0o644); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.RemoveAll(filepath.Join(project, "build")) })
				switch first {
				case "build":
					root, err := os.OpenRoot(state)
					if err != nil {
						t.Fatal(err)
					}
					defer root.Close()
					in, err := Begin(root)
					if err != nil {
						t.Fatal(err)
					}
					if err := in.Discard(); err != nil {
						t.Fatal(err)
					}
					only(t, root, OutName)
				case "flash":
					found, err := FindMap(project, name)
					if err != nil || found != set.Path("flasher_args.json") {
						t.Fatalf("%s, %v", found, err)
					}
				}
				if v, err := Verify(project, name, known); err != nil || v.Dir != set.Dir {
					t.Errorf("%+v, %v", v, err)
				}
			})
		}
	}
}

// TestFailureToRemoveTheOld: a file that cannot be removed does not make the build
// fail, and does not return in place of a later build.
func TestFailureToRemoveTheOld(t *testing.T) {
	state := newState(t)
	if os.Getuid() == 0 {
		t.Skip("root can remove every file; make check runs as an ordinary user, too")
	}
	keep := func(name string) {
		t.Helper()
		in, m, result := arrive(t, state, map[string]string{"sub/" + name: "x"})
		if _, err := in.Keep(m, result, &Expected{AllowUnsigned: true}); err != nil {
			t.Fatal(err)
		}
	}
	keep("old")
	if err := state.Chmod(OutName+"/sub", 0o555); err != nil {
		t.Fatal(err)
	}
	keep("new")
	if _, err := state.Stat(OutName + "/sub/new"); err != nil {
		t.Error(err)
	}
	for _, name := range leftovers(state) {
		if err := state.Chmod(name+"/last/sub", 0o755); err != nil {
			t.Error(err)
		}
	}
	in, err := Begin(state)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Keep(&channel.Manifest{}, &channel.Result{}, &Expected{AllowUnsigned: true}); err != nil {
		t.Fatal(err)
	}
	only(t, state, OutName)
	if entries, err := fs.ReadDir(state.FS(), OutName); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}
