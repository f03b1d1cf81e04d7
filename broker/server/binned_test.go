package server

import (
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
)

func TestBinnedMetricsHideSingleUsers(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	w.adjust = func(c *Config) { c.ExactMetrics = false }
	b := w.start()
	b.login(a)
	read := func() string {
		r := b.send(t.Context(), "GET", api.PathMetrics, "", nil)
		if r.status != 200 {
			t.Fatalf("metrics: %d %s", r.status, r.body)
		}
		var lines []string
		for line := range strings.Lines(string(r.body)) {
			// The second poll reports the end of the first job.
			if strings.HasPrefix(line, "farforge_") && !strings.Contains(line, "_healed_total") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	job := func() {
		poll := b.park(t.Context(), a)
		g := b.grant()
		b.meet(g, a, poll)
	}
	job()
	once := read()
	for _, line := range []string{
		`farforge_broker_requests_total{result="answered",route="offer"} 8`,
		`farforge_broker_claims_total 8`, `farforge_broker_match_seconds_count 8`,
		`farforge_broker_match_seconds_bucket{le="+Inf"} 8`,
		`farforge_broker_agents_listed 1`,
	} {
		if !strings.Contains(once, line+"\n") {
			t.Errorf("metrics lack %s\n%s", line, once)
		}
	}
	// No count changes up to the eighth job, in no bucket of any histogram.
	for n := range 7 {
		job()
		if again := read(); again != once {
			t.Fatalf("job %d can be seen:\n%s\nbefore:\n%s", n+2, again, once)
		}
	}
	job()
	nine := read()
	for _, line := range []string{
		`farforge_broker_claims_total 16`, `farforge_broker_queue_wait_seconds_count 16`,
		`farforge_broker_queue_wait_seconds_bucket{le="+Inf"} 16`, `farforge_broker_reserved_memory_bytes 8.589934592e+09`,
	} {
		if !strings.Contains(nine, line+"\n") {
			t.Errorf("metrics lack %s\n%s", line, nine)
		}
	}
	if strings.Contains(nine, "oldest_wait") {
		t.Error("the wait of a single job is shown")
	}
	if all := string(b.send(t.Context(), "GET", api.PathMetrics, "", nil).body); strings.Contains(all, "process_open_fds") || !strings.Contains(all, "process_cpu_seconds_total") {
		t.Error("the process's own metrics are not those that were chosen")
	}
}
