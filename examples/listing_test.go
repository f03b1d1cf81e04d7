package examples_test

import (
	"os"
	"strings"
	"testing"

	"github.com/farforge/farforge/examples/internal/launch"
)

// TestUsersSeeTheFarm: a user who watches sees agents come and crash, and whoever
// asks gets the same from the table.
func TestUsersSeeTheFarm(t *testing.T) {
	f := newFarm(t, "anvil", "bench")
	watch := launch.Start(t, f.command(t.Context(), "agents", "--watch", "--interval", "1s", "--json"))
	watch.Says(t, `"name":"anvil","state":"idle"`)
	watch.Says(t, `"name":"bench","state":"idle"`)

	r := f.client(t.Context(), "agents")
	r.want(t, 0)
	lines := strings.Split(r.stdout, "\n")
	for i, name := range []string{"anvil", "bench"} {
		if line := lines[1+i]; !strings.HasPrefix(line, name+"  idle") || !strings.Contains(line, "riscv64-unknown-elf-gcc") || !strings.Contains(line, "esp32c3") {
			t.Errorf("%s is shown as %s", name, line)
		}
	}
	r = f.client(t.Context(), "agents", "--target", "esp32c3", "--toolchain", "riscv64-unknown-elf-gcc@>=1")
	if r.want(t, 0); strings.Count(r.stdout, "\n") != 3 {
		t.Errorf("those that can build for esp32c3:\n%s", r.stdout)
	}
	f.client(t.Context(), "agents", "--target", "esp32s3").want(t, 0, "no agent that is online fits")

	f.agents[1].Stop(t, os.Kill)
	watch.Says(t, `"name":"bench","state":"offline"`)
	r = f.client(t.Context(), "agents", "--all")
	if r.want(t, 0); !strings.Contains(r.stdout, "\nbench  offline") {
		t.Errorf("after bench has crashed:\n%s", r.stdout)
	}
	watch.Stop(t, os.Interrupt)
	if code := watch.Cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(watch.Log.String(), `{"event":"result","agents":{"online":1,"offline":1}}`) {
		t.Errorf("the watch ended with exit code %d", code)
	}
}
