package natlab

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/farforge/farforge/examples/internal/launch"
)

// recipe needs no compiler: its artifact is a copy of the source.
const recipe = `
name    = "parcel"
targets = ["esp32c3"]

[toolchain]
name    = "parcel"
detect  = [["install", "--version"]]
version = 'coreutils\) ([0-9.]+)'

[project]
files = ["parcel.bin"]

[build]
command = ["install", "-D", "parcel.bin", "{out}/parcel.bin"]

[artifacts]
files = ["*.bin"]

[flash]
mode   = "dio"
freq   = "40m"
size   = "4MB"
images = [{ name = "app", offset = 0x0, file = "parcel.bin" }]
`

// farm starts the broker with its relay, and the agent.
func (w *world) farm(broker ...string) {
	w.t.Helper()
	cert, key := w.ca.Issue(publicIP)
	w.write("recipes/parcel.toml", recipe)
	out, err := w.command("agent", w.program("proxy-agent"), "keygen", "--state-dir", w.path("agent"), "--name", "far").Output()
	if err != nil {
		w.t.Fatalf("keygen: %v", err)
	}
	w.write("agents", string(out))
	w.start("public", "listening", "broker", append([]string{
		"--addr", publicIP + ":443", "--origin", brokerURL, "--cert", cert, "--key", key,
		"--authorized-agents", w.path("agents"), "--state-dir", w.path("broker"), "--open", "--relay", "--log-level", "debug",
	}, broker...)...)
	w.start("agent", "enrolled", "proxy-agent", "run", "--url", brokerURL, "--state-dir", w.path("agent"),
		"--recipes", w.path("recipes"), "--sandbox", "none", "--cores", "2", "--memory", "2048", "--log-level", "debug")
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) program(name string) string { return filepath.Join(programs, name) }

func (w *world) write(name, content string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(name)), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.path(name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// built is the result of a build in the output of client --json.
type built struct {
	Event string
	Build struct {
		Relayed bool   `json:"relayed"`
		SetupMS int64  `json:"setup_ms"`
		TotalMS int64  `json:"total_ms"`
		Dir     string `json:"dir"`
	}
}

// build runs a client and compares the artifact with the source.
func (w *world) build(size int) built {
	w.t.Helper()
	parcel := make([]byte, size)
	rand.Read(parcel)
	w.write("project/parcel.bin", string(parcel))
	cmd := w.command("client", w.program("client"), "build", w.path("project"), "--url", brokerURL, "--target", "esp32c3", "--json")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("client: %v\n%s\n%s", err, &stdout, &stderr)
	}
	for line := range strings.Lines(stdout.String()) {
		var b built
		if err := json.Unmarshal([]byte(line), &b); err == nil && b.Event == "result" {
			back, err := os.ReadFile(filepath.Join(b.Build.Dir, "parcel.bin"))
			if err != nil || !bytes.Equal(back, parcel) {
				w.t.Errorf("the artifact differs from the source: %v", err)
			}
			return b
		}
	}
	w.t.Fatalf("the client reported no result:\n%s", &stdout)
	return built{}
}

// start runs a program in a namespace until the test ends, and waits for the line
// that reports that it is ready.
func (w *world) start(ns, ready, name string, args ...string) {
	w.t.Helper()
	if !filepath.IsAbs(name) {
		name = w.program(name)
	}
	launch.Start(w.t, w.command(ns, name, args...)).WaitFor(w.t, ready)
}
