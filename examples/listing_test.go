package examples_test

import (
	"os"
	"strings"
	"testing"

	"github.com/farforge/farforge/examples/internal/launch"
)

// TestClientAgents checks that client agents --watch shows agents that start and
// crash, and that the plain table shows the same.
func TestClientAgents(t *testing.T) {
	f := newFarm(t, "anvil", "bench")
	watch := launch.Start(t, f.command(t.Context(), "agents", "--watch", "--interval", "1s", "--json"))
	watch.WaitFor(t, `"name":"anvil","state":"idle"`)
	watch.WaitFor(t, `"name":"bench","state":"idle"`)

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
		t.Errorf("agents for esp32c3:\n%s", r.stdout)
	}
	f.client(t.Context(), "agents", "--target", "esp32s3").want(t, 0, "no online agent matches")

	f.agents[1].Stop(t, os.Kill)
	watch.WaitFor(t, `"name":"bench","state":"offline"`)
	r = f.client(t.Context(), "agents", "--all")
	if r.want(t, 0); !strings.Contains(r.stdout, "\nbench  offline") {
		t.Errorf("after the crash of bench:\n%s", r.stdout)
	}
	watch.Stop(t, os.Interrupt)
	if code := watch.Cmd.ProcessState.ExitCode(); code != 0 || !strings.Contains(watch.Log.String(), `{"event":"result","agents":{"online":1,"offline":1}}`) {
		t.Errorf("the watch ended with exit code %d", code)
	}
}
