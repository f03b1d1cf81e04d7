package examples_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/farforge/farforge/examples/internal/launch"
)

// slowProject makes a project whose build runs longer than any test waits, in a
// process that running finds by its mark.
func (f *farm) slowProject(name string) (dir, mark string) {
	mark = fmt.Sprintf("%d.%d", 3000+os.Getpid()%1000, time.Now().UnixNano()%1_000_000)
	return f.project(name, map[string]func(string) string{
		"Makefile": func(string) string { return "# riscv64-unknown-elf-\nall:\n\tsleep " + mark + "\n" },
	}), mark
}

// begin starts a client and waits until its build command is running.
func (f *farm) begin(cmd *exec.Cmd, mark string) *launch.Log {
	f.t.Helper()
	log := &launch.Log{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	eventually(f.t, "the build runs", func() bool { return running(f.t, "sleep\x00"+mark) > 0 })
	return log
}

func TestCompilerErrorIsShown(t *testing.T) {
	f := newFarm(t, "bench-1")
	dir := f.project("broken", map[string]func(string) string{
		"main.c": func(s string) string { return s + "\nint broken( {\n" },
	})
	got := f.client(t.Context(), "build", dir)
	got.want(t, 1, "error: ", "main.c:")
	if _, err := os.Stat(filepath.Join(dir, ".farforge", "out", "hello.bin")); err == nil {
		t.Error("a build that failed left an image")
	}
}

func TestProjectWithoutARecipe(t *testing.T) {
	f := newFarm(t, "bench-1")
	dir := f.path("notes")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("no code here"), 0o644); err != nil {
		t.Fatal(err)
	}
	f.client(t.Context(), "build", dir).want(t, 4, "no recipe", "esp32c3-baremetal")
	f.client(t.Context(), "build", dir, "--target", "esp32s3").want(t, 4, "esp32s3", "esp32c3")
	f.client(t.Context(), "build", dir, "--toolchain", "esp-idf@5.3").want(t, 4, "esp-idf")
}

func TestJobLargerThanAnyAgent(t *testing.T) {
	f := newFarm(t, "bench-1")
	dir := f.project("hello", nil)
	f.client(t.Context(), "build", dir, "--cores", "64").want(t, 4, "cores")
	f.client(t.Context(), "build", dir, "--cores", "65").want(t, 3, "at most 64")
}

func TestCtrlCRemovesEverything(t *testing.T) {
	f := newFarm(t, "bench-1")
	dir, mark := f.slowProject("slow")
	ctx, cancel := context.WithCancel(t.Context())
	cmd := f.command(ctx, "build", dir)
	log := f.begin(cmd, mark)
	cancel()
	_ = cmd.Wait() // the exit code is checked below
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130\n%s", code, log)
	}
	eventually(t, "the build is gone", func() bool { return running(t, mark) == 0 })
	// The agent is free for the next job.
	f.client(t.Context(), "build", f.project("hello", nil)).want(t, 0)
}

func TestKilledAgentIsReported(t *testing.T) {
	f := newFarm(t, "bench-1")
	dir, mark := f.slowProject("slow")
	cmd := f.command(t.Context(), "build", dir)
	log := f.begin(cmd, mark)
	f.agents[0].Stop(t, os.Kill)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 5 || !strings.Contains(log.String(), "bench-1") {
		t.Errorf("exit code %d, want 5\n%s", code, log)
	}
	eventually(t, "the build is gone", func() bool { return running(t, mark) == 0 })
}

// TestBrokerRestartsWhileAClientWaits restarts the broker while an offer waits
// for a busy agent.
func TestBrokerRestartsWhileAClientWaits(t *testing.T) {
	f := newFarm(t, "bench-1")
	dir, mark := f.slowProject("slow")
	cores := fmt.Sprint(runtime.NumCPU()) // the whole agent
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow := f.command(ctx, "build", dir, "--cores", cores)
	f.begin(slow, mark)

	second := f.command(t.Context(), "build", f.project("hello", nil), "--cores", cores)
	log := &launch.Log{}
	second.Stdout, second.Stderr = log, log
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second offer waits", func() bool { return f.metric("farforge_broker_waiting_offers") == 1 })
	addr := strings.TrimPrefix(f.url, "http://")
	f.broker.Stop(t, os.Kill)
	f.startBroker(addr)
	cancel()
	_ = slow.Wait()
	if err := second.Wait(); err != nil {
		t.Fatalf("the waiting client: %v\n%s", err, log)
	}
}

// TestPortWithoutAChip flashes to a terminal that answers nothing, and to one
// that echoes.
func TestPortWithoutAChip(t *testing.T) {
	f := newFarm(t, "bench-1")
	dir := f.project("hello", nil)
	f.client(t.Context(), "build", dir).want(t, 0)
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	f.client(t.Context(), "flash", dir, "--port", slave.Name()).want(t, 6, "error: ", "hint: ")
	f.client(t.Context(), "flash", dir, "--port", f.path("nothing")).want(t, 6, "error: ")
}

func TestImageLargerThanTheFlash(t *testing.T) {
	f := newFarm(t, "bench-1")
	dir := f.project("big", map[string]func(string) string{
		"main.c": func(s string) string {
			return strings.Replace(s, "int main", "__attribute__((used)) static const char ballast[300000] = {1};\nint main", 1)
		},
	})
	build := f.client(t.Context(), "build", dir)
	build.want(t, 0)
	chip := start(t, "simulated-chip", "--flash-size", "256KB")
	port := chip.First(t)
	f.client(t.Context(), "flash", dir, "--port", port).want(t, 6, "flash")
}

// TestFilesThatDifferOnlyInCase checks that the client refuses such a project
// before it sends anything.
func TestFilesThatDifferOnlyInCase(t *testing.T) {
	f := newFarm(t, "bench-1")
	same := func(string) string { return "x" }
	dir := f.project("case", map[string]func(string) string{"README": same, "readme": same})
	f.client(t.Context(), "build", dir).want(t, 2, "differ only in case")
}

func TestBuildCannotReachOut(t *testing.T) {
	f := newFarm(t, "bench-1")
	secret := f.path("bench-1")
	dir := f.project("spy", map[string]func(string) string{
		"Makefile": func(string) string {
			return "# riscv64-unknown-elf-\nall:\n\t@! ls " + secret + " 2>/dev/null\n\t@! ls /root /home/* 2>/dev/null | grep .\n" +
				"\t@! grep -v -e lo: -e '|' /proc/net/dev\n\t@! touch /usr/here 2>/dev/null\n\t@echo all walls stand\n\t@false\n"
		},
	})
	got := f.client(t.Context(), "build", dir)
	if !strings.Contains(got.stdout+got.stderr, "all walls stand") {
		t.Errorf("the build reached the agent or the network:\n%s%s", got.stdout, got.stderr)
	}
	if bytes.Contains([]byte(got.stderr), []byte(secret)) {
		t.Errorf("the client's output contains the agent's paths:\n%s", got.stderr)
	}
}
