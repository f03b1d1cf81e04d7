package main

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/farforge/farforge/client/internal/fakefarm"
)

// TestSwappedFilesAreNotFlashed: files change after the client has verified them,
// while it opens the port. The board gets the files that the agent signed.
func TestSwappedFilesAreNotFlashed(t *testing.T) {
	b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.c"), []byte("int main(void) { return 0; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum([]byte(fakefarm.Image()))
	config := t.TempDir()
	for _, args := range [][]string{{"run", "--monitor=false", "--json"}, {"flash", "--json"}} {
		t.Run(args[0], func(t *testing.T) {
			out := filepath.Join(dir, ".farforge", "out")
			port := boardBehind(t, func() error {
				evil := filepath.Join(dir, "evil")
				if err := os.WriteFile(evil, []byte(strings.Repeat("evil", 100)), 0o644); err != nil {
					return err
				}
				return os.Rename(evil, filepath.Join(out, "hello.bin"))
			})
			cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), asClient+"=1", "FARFORGE_URL="+b.URL, "ESPTOOL_PORT="+port, "XDG_CONFIG_HOME="+config)
			got, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(got), `"md5":"`+hex.EncodeToString(sum[:])+`"`) {
				t.Errorf("%v\n%s", err, got)
			}
			if text, err := os.ReadFile(filepath.Join(out, "hello.bin")); err != nil || !strings.HasPrefix(string(text), "evil") {
				t.Errorf("the file was not swapped: %.20q, %v", text, err)
			}
			if err := os.WriteFile(filepath.Join(out, "hello.bin"), []byte(fakefarm.Image()), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// boardBehind starts a simulated board and calls swap when a client connects, before
// the board answers.
func boardBehind(t *testing.T, swap func() error) (port string) {
	t.Helper()
	board, err := serveBoard(t, "esp32c3")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	t.Cleanup(func() { l.Close(); group.Wait() })
	group.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			if err := swap(); err != nil {
				t.Error(err)
			}
			chip, err := net.Dial("tcp", strings.TrimPrefix(board, "tcp://"))
			if err != nil {
				t.Error(errors.Join(err, client.Close()))
				return
			}
			var ends sync.WaitGroup
			ends.Go(func() { _, _ = io.Copy(chip, client); _ = chip.Close() })
			ends.Go(func() { _, _ = io.Copy(client, chip); _ = client.Close() })
			ends.Wait()
		}
	})
	return "tcp://" + l.Addr().String()
}
