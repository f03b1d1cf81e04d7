package examples_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestFirstLight runs the main job, client run, from source to a chip that runs
// the firmware.
func TestFirstLight(t *testing.T) {
	f := newFarm(t, "bench-1")
	flash := f.path("flash.bin")
	chip := start(t, "simulated-chip", "--flash", flash)
	port := chip.First(t)

	dir := f.project("hello", nil)
	got := f.client(t.Context(), "run", dir, "--port", port, "--json", "--monitor-until", "tick 1")
	got.want(t, 0)
	var r report
	got.event(t, "result", &r)
	if r.Build.Agent.Name != "bench-1" || r.Flash.Chip != "esp32c3" || len(r.Flash.Regions) != 1 {
		t.Errorf("result: %+v", r)
	}
	for _, line := range []string{"built far away and flashed right here", "tick 1"} {
		if !strings.Contains(got.stdout, line) {
			t.Errorf("the monitor did not show %q:\n%s", line, got.stdout)
		}
	}

	// The image equals the one that make builds here, byte for byte, and the
	// flash holds it.
	local := f.project("local", nil)
	if out, err := exec.Command("make", "-C", local).CombinedOutput(); err != nil {
		t.Fatalf("make: %v\n%s", err, out)
	}
	want, err := os.ReadFile(filepath.Join(local, "build", "hello.bin"))
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(filepath.Join(r.Build.Dir, r.Build.Image.Path))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(image); !bytes.Equal(image, want) || hex.EncodeToString(sum[:]) != r.Build.Image.SHA256 {
		t.Error("the received image differs from a local build")
	}
	chip.Stop(t, os.Interrupt)
	if stored, err := os.ReadFile(flash); err != nil || !bytes.HasPrefix(stored, want) {
		t.Errorf("the flash does not hold the image: %v", err)
	}
}

// TestBuildFlashMonitor runs the three verbs one after the other.
func TestBuildFlashMonitor(t *testing.T) {
	f := newFarm(t, "bench-1")
	chip := start(t, "simulated-chip")
	port := chip.First(t)
	dir := f.project("hello", nil)
	f.client(t.Context(), "build", dir).want(t, 0, "bench-1")
	f.client(t.Context(), "flash", dir, "--port", port).want(t, 0, "verified")
	// The second time, the flash already holds the image.
	f.client(t.Context(), "flash", dir, "--port", port).want(t, 0)
	got := f.client(t.Context(), "monitor", "--port", port, "--monitor-until", "tick")
	got.want(t, 0)
	if !strings.Contains(got.stdout, "tick") {
		t.Errorf("the monitor showed %q", got.stdout)
	}
}

// TestTwentyBuildsOnTwoAgents gives every client a source of its own and looks
// for its text in the image that the client receives.
func TestTwentyBuildsOnTwoAgents(t *testing.T) {
	f := newFarm(t, "bench-1", "bench-2")
	const clients = 20
	var wg sync.WaitGroup
	for i := range clients {
		greeting := fmt.Sprintf("greeting of client %d.", i)
		dir := f.project(fmt.Sprint("project", i), map[string]func(string) string{
			"main.c": func(s string) string {
				return strings.Replace(s, "built far away and flashed right here.", greeting, 1)
			},
		})
		wg.Go(func() {
			got := f.client(t.Context(), "build", dir, "--json", "--cores", "1")
			if got.code != 0 {
				t.Errorf("client %d: exit code %d\n%s", i, got.code, got.stderr)
				return
			}
			var r report
			got.event(t, "result", &r)
			image, err := os.ReadFile(filepath.Join(r.Build.Dir, r.Build.Image.Path))
			if err != nil || !bytes.Contains(image, []byte(greeting)) {
				t.Errorf("client %d received another client's image: %v", i, err)
			}
		})
	}
	wg.Wait()
	answered := 0
	for _, agent := range f.agents {
		n := strings.Count(agent.Log.String(), "answered a job")
		if n == 0 {
			t.Error("an agent got no job")
		}
		answered += n
	}
	if answered != clients {
		t.Errorf("%d jobs were answered, want %d", answered, clients)
	}
	for _, name := range []string{"bench-1", "bench-2"} {
		left, err := filepath.Glob(f.path(name) + "/workspaces/*/")
		if err != nil || len(left) > 0 {
			t.Errorf("%s keeps %v, %v", name, left, err)
		}
	}
}
