//go:build unix

package worker

import (
	"net/http"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/proxy-agent/internal/fakebroker"
)

// TestMachineWithAWrongClock serves a broker whose clock is two hours ahead.
func TestMachineWithAWrongClock(t *testing.T) {
	a, start := newAgent(t)
	a.broker.Ahead(2 * time.Hour)
	a.broker.Start()
	start()
	c := a.broker.NewClient("01A", one)
	a.broker.Next().Reply(http.StatusOK, c.Job)
	a.log.await(t, "the clocks differ")
	c.Build(a.broker, "exit 7")
	if r := c.Result(); r.ExitCode != 7 {
		t.Errorf("result %+v", r)
	}
	fakebroker.Receive(t, a.broker.Reports, "report")
	// This grant is valid by this machine's clock only.
	stale := a.broker.NewClient("01B", func(g *grant.Grant) {
		g.IssuedAt, g.ExpiresAt = time.Now(), time.Now().Add(api.GrantLife)
	})
	a.broker.Next().Reply(http.StatusOK, stale.Job)
	a.log.await(t, "the clock of this machine is")
	if r := fakebroker.Receive(t, a.broker.Reports, "report"); r.JobID != "01B" || r.Outcome != api.OutcomeRefused {
		t.Errorf("report %+v", r)
	}
	if n := a.broker.Enrolled(); n != 1 {
		t.Errorf("enrolled %d times", n)
	}
}

// TestRefusalsSayWhy reads the operator's log.
func TestRefusalsSayWhy(t *testing.T) {
	a := startAgent(t)
	for _, c := range []struct {
		job    string
		change func(*grant.Grant)
		says   string
	}{
		{"01AUDIENCE", func(g *grant.Grant) { g.Agents = []string{"SHA256:other"} }, "the grant is for other agents"},
		{"01EXPIRED", func(g *grant.Grant) {
			g.IssuedAt, g.ExpiresAt = g.IssuedAt.Add(-time.Hour), g.ExpiresAt.Add(-time.Hour)
		}, "the grant has expired"},
		{"01FUTURE", func(g *grant.Grant) {
			g.IssuedAt, g.ExpiresAt = g.IssuedAt.Add(time.Hour), g.ExpiresAt.Add(time.Hour)
		}, "the grant is not valid yet"},
		{"01ISSUER", func(g *grant.Grant) { g.Issuer = "https://evil.example.org" }, "the grant was issued by https://evil.example.org"},
		{"01MEMORY", func(g *grant.Grant) { g.MemoryMB = 1 << 20 }, "the job needs 1048576 MiB of memory"},
	} {
		a.broker.Next().Reply(http.StatusOK, a.broker.NewClient(c.job, c.change).Job)
		a.log.await(t, c.says)
		if r := fakebroker.Receive(t, a.broker.Reports, "report"); r.JobID != c.job || r.Outcome != api.OutcomeRefused {
			t.Errorf("report %+v", r)
		}
	}
}
