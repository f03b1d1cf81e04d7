//go:build unix

package worker

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/proxy-agent/session"
)

func TestPollCarriesWhatTheAgentIs(t *testing.T) {
	a := startAgent(t)
	want := api.Status{
		Version: "test", TotalCores: 4, FreeCores: 4, TotalMemMB: 2048, FreeMemMB: 2048,
		Capabilities: []api.Capability{{Target: "esp32c3", Toolchain: "sh", Version: "1.0"}},
	}
	for range 3 { // and it goes on after each
		p := a.broker.next()
		if !reflect.DeepEqual(p.status, want) {
			t.Errorf("got %+v, want %+v", p.status, want)
		}
		p.reply(http.StatusNoContent, nil)
	}
}

func TestOneJob(t *testing.T) {
	a := startAgent(t)
	c := a.newClient("01A")
	a.broker.next().reply(http.StatusOK, c.job)
	busy := a.broker.next()
	if s := busy.status; s.FreeCores != 1 || s.FreeMemMB != 1536 || !reflect.DeepEqual(s.RunningJobs, []string{"01A"}) {
		t.Errorf("while the job runs: %+v", s)
	}
	c.build(a.broker, "exit 3")
	if r := c.result(); r.Outcome != api.OutcomeBuildFailed || r.ExitCode != 3 {
		t.Errorf("result %+v", r)
	}
	// A fresh poll says that the agent is free, while the older still waits.
	free := a.broker.next()
	if s := free.status; s.FreeCores != 4 || len(s.RunningJobs) != 0 {
		t.Errorf("after the job: %+v", s)
	}
	r := receive(t, a.broker.reports, "report")
	if r.JobID != "01A" || r.Outcome != api.OutcomeBuildFailed || r.DurationMS < 0 {
		t.Errorf("report %+v", r)
	}
	busy.reply(http.StatusNoContent, nil)
	free.reply(http.StatusNoContent, nil)
	a.broker.next() // one, not two
	select {
	case p := <-a.broker.polls:
		t.Errorf("a second poll waits: %+v", p.status)
	case <-time.After(100 * time.Millisecond):
	}
}

// TestJobOnAnOlderPollIsNotLost hands a job to a poll that was superseded.
func TestJobOnAnOlderPollIsNotLost(t *testing.T) {
	a := startAgent(t)
	first, second := a.newClient("01A", one), a.newClient("01B", one)
	a.broker.next().reply(http.StatusOK, first.job)
	older := a.broker.next()
	first.build(a.broker, "exit 1")
	first.result()
	a.broker.next()
	older.reply(http.StatusOK, second.job)
	second.build(a.broker, "exit 2")
	if r := second.result(); r.ExitCode != 2 {
		t.Errorf("result %+v", r)
	}
}

func one(g *grant.Grant) { g.CPUCores = 1 }

func TestJobsThatAreRefused(t *testing.T) {
	a := startAgent(t)
	running := a.newClient("01A", one)
	a.broker.next().reply(http.StatusOK, running.job)
	running.build(a.broker, "sleep 1000")
	p := a.broker.next()
	for _, c := range []struct {
		name   string
		change func(*grant.Grant)
	}{
		{"02CORES", func(g *grant.Grant) { g.CPUCores = 4 }},
		{"02MEMORY", func(g *grant.Grant) { g.CPUCores, g.MemoryMB = 1, 2000 }},
		{"02AUDIENCE", func(g *grant.Grant) { g.Agents = []string{"SHA256:other"} }},
		{"02EXPIRED", func(g *grant.Grant) {
			g.IssuedAt, g.ExpiresAt = g.IssuedAt.Add(-time.Hour), g.ExpiresAt.Add(-time.Hour)
		}},
		{"01A", one}, // replayed
	} {
		p.reply(http.StatusOK, a.newClient(c.name, c.change).job)
		if r := receive(t, a.broker.reports, "report"); r.JobID != c.name || r.Outcome != api.OutcomeRefused {
			t.Errorf("%s: report %+v", c.name, r)
		}
		p = a.broker.next()
	}
	// With both slots taken, no core is offered.
	second := a.newClient("01B", one)
	p.reply(http.StatusOK, second.job)
	if p = a.broker.next(); p.status.FreeCores != 0 {
		t.Errorf("status %+v", p.status)
	}
	p.reply(http.StatusOK, a.newClient("01C", one).job)
	if r := receive(t, a.broker.reports, "report"); r.JobID != "01C" || r.Outcome != api.OutcomeRefused {
		t.Errorf("report %+v", r)
	}
	select {
	case answer := <-a.broker.answers:
		if answer.jobID != "01B" {
			t.Errorf("job %s was answered", answer.jobID)
		}
	case <-time.After(5 * time.Second):
		t.Error("the second job was not answered")
	}
}

func TestEnrolsAgainWhenItsSessionIsRefused(t *testing.T) {
	a := startAgent(t)
	a.broker.next().reply(http.StatusNoContent, nil)
	p := a.broker.next()
	a.broker.forget()
	p.reply(http.StatusNoContent, nil)
	a.broker.next()
	a.broker.mu.Lock()
	defer a.broker.mu.Unlock()
	if a.broker.enrolled != 2 {
		t.Errorf("enrolled %d times", a.broker.enrolled)
	}
}

func TestWaitsForABrokerThatIsAway(t *testing.T) {
	a, start := newAgent(t)
	start() // connections are accepted by nobody and time out or wait
	a.broker.start()
	a.broker.next()
}

func TestGoesOnAfterAFailedPoll(t *testing.T) {
	a := startAgent(t)
	a.broker.next().reply(http.StatusInternalServerError, &api.Problem{Title: "broken", Code: api.CodeInternal})
	a.broker.next().reply(http.StatusBadGateway, nil) // as a proxy in front would
	began := time.Now()
	a.broker.next().reply(http.StatusTooManyRequests, &api.Problem{Title: "slowly", Code: api.CodeTooFast, RetryAfter: 1})
	a.broker.next()
	if waited := time.Since(began); waited < time.Second {
		t.Errorf("asked to wait for 1 s, the agent came back after %v", waited)
	}
}

func TestRefusalsEndTheAgent(t *testing.T) {
	t.Run("its key is not listed", func(t *testing.T) {
		a, start := newAgent(t)
		a.broker.refuse = &api.Problem{Title: "not listed", Status: http.StatusUnauthorized, Code: api.CodeBadSignature}
		a.broker.start()
		start()
		var p *api.Problem
		if err := receive(t, a.ended, "end"); !errors.As(err, &p) || p.Code != api.CodeBadSignature {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Run("the broker has other keys than before", func(t *testing.T) {
		a, start := newAgent(t)
		_, impostor, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		fetch := func(context.Context) (*grant.KeySet, error) {
			return grant.NewKeySet(grant.NewSigner(impostor).Public()), nil
		}
		if _, err := session.PinnedKeys(t.Context(), a.dir, a.broker.url(), fetch, nil); err != nil {
			t.Fatal(err)
		}
		a.broker.start()
		start()
		var change *session.KeyChange
		if err := receive(t, a.ended, "end"); !errors.As(err, &change) {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestDrain(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		a := startAgent(t)
		parked := a.broker.next()
		close(a.drain)
		last := a.broker.next()
		if !last.status.Draining {
			t.Errorf("the last poll says %+v", last.status)
		}
		last.reply(http.StatusNoContent, nil)
		if err := receive(t, a.ended, "end"); err != nil {
			t.Errorf("Run returned %v", err)
		}
		receive(t, parked.gone, "end of the older poll")
	})
	t.Run("before it is enrolled", func(t *testing.T) {
		a, start := newAgent(t)
		start()
		close(a.drain)
		if err := receive(t, a.ended, "end"); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Run("with a job", func(t *testing.T) {
		a := startAgent(t)
		c := a.newClient("01A")
		a.broker.next().reply(http.StatusOK, c.job)
		a.broker.next()
		c.build(a.broker, "echo up; sleep 0.5; exit 7")
		c.until(channel.TypeLog)
		close(a.drain)
		last := a.broker.next()
		if !last.status.Draining || len(last.status.RunningJobs) != 1 {
			t.Errorf("the last poll says %+v", last.status)
		}
		last.reply(http.StatusNoContent, nil)
		if r := c.result(); r.ExitCode != 7 {
			t.Errorf("result %+v", r)
		}
		if r := receive(t, a.broker.reports, "report"); r.Outcome != api.OutcomeBuildFailed {
			t.Errorf("report %+v", r)
		}
		if err := receive(t, a.ended, "end"); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestStop(t *testing.T) {
	a := startAgent(t)
	c := a.newClient("01A")
	a.broker.next().reply(http.StatusOK, c.job)
	c.build(a.broker, "echo up; sleep 1000")
	c.until(channel.TypeLog)
	a.stop()
	if r := c.result(); r.Outcome != api.OutcomeAgentFailed || r.Problem == nil || r.Problem.Message != "the agent is shutting down" {
		t.Errorf("result %+v, %+v", r, r.Problem)
	}
	if r := receive(t, a.broker.reports, "report"); r.Outcome != api.OutcomeAgentFailed {
		t.Errorf("report %+v", r)
	}
	if err := receive(t, a.ended, "end"); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
}
