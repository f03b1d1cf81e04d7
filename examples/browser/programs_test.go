package browser

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/farforge/farforge/examples/internal/launch"
)

// programs is the folder in which TestMain has built the broker and the agent.
var programs string

func TestMain(m *testing.M) { launch.Main(m, &programs, false, "broker", "proxy-agent") }

// farm starts a broker and an agent, and returns the broker's URL and its log.
func farm(t *testing.T, flags ...string) (url string, log *launch.Log) {
	t.Helper()
	dir := t.TempDir()
	state := filepath.Join(dir, "agent")
	key, err := exec.Command(filepath.Join(programs, "proxy-agent"), "keygen", "--state-dir", state, "--name", "bench-1").Output()
	if err != nil {
		t.Fatalf("keygen: %v", err)
	}
	list := filepath.Join(dir, "agents")
	if err := os.WriteFile(list, key, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--addr", "127.0.0.1:0", "--disable-tls", "--open", "--state-dir", filepath.Join(dir, "broker"),
		"--authorized-agents", list, "--log-level", "debug"}, flags...)
	broker := launch.Start(t, exec.Command(filepath.Join(programs, "broker"), args...))
	url, _, _ = strings.Cut(broker.WaitFor(t, "listening on "), " ")
	agent := launch.Start(t, exec.Command(filepath.Join(programs, "proxy-agent"), "run", "--url", url, "--state-dir", state, "--name", "bench-1"))
	agent.WaitFor(t, "enrolled")
	return url, broker.Log
}
