//go:build unix

package worker

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/proxy-agent/internal/fakebroker"
	"github.com/farforge/farforge/proxy-agent/session"
)

func TestPollCarriesTheStatus(t *testing.T) {
	a := startAgent(t)
	want := api.Status{
		Version: "test", TotalCores: 4, FreeCores: 4, TotalMemMB: 2048, FreeMemMB: 2048,
		Capabilities: []api.Capability{{Target: "esp32c3", Toolchain: "sh", Version: "1.0"}},
		Tags:         []string{"eu"},
		Warm:         []string{},
		Sealing:      a.sealing,
	}
	for range 3 { // the agent polls again after each
		p := a.broker.Next()
		if !reflect.DeepEqual(p.Status, want) {
			t.Errorf("got %+v, want %+v", p.Status, want)
		}
		p.Reply(http.StatusNoContent, nil)
	}
}

func TestOneJob(t *testing.T) {
	a := startAgent(t)
	c := a.broker.NewClient("01A")
	a.broker.Next().Reply(http.StatusOK, c.Job)
	busy := a.broker.Next()
	if s := busy.Status; s.FreeCores != 1 || s.FreeMemMB != 1536 || !reflect.DeepEqual(s.RunningJobs, []string{"01A"}) {
		t.Errorf("while the job runs: %+v", s)
	}
	c.Build(a.broker, "exit 3")
	if r := c.Result(); r.Outcome != api.OutcomeBuildFailed || r.ExitCode != 3 {
		t.Errorf("result %+v", r)
	}
	// A fresh poll says that the agent is free, while the older still waits.
	free := a.broker.Next()
	if s := free.Status; s.FreeCores != 4 || len(s.RunningJobs) != 0 || !reflect.DeepEqual(s.EndedJobs, []string{"01A"}) {
		t.Errorf("after the job: %+v", s)
	}
	r := fakebroker.Receive(t, a.broker.Reports, "report")
	if r.JobID != "01A" || r.Outcome != api.OutcomeBuildFailed || r.DurationMS < 0 {
		t.Errorf("report %+v", r)
	}
	busy.Reply(http.StatusNoContent, nil)
	free.Reply(http.StatusNoContent, nil)
	a.broker.Next() // one, not two
	select {
	case p := <-a.broker.Polls:
		t.Errorf("a second poll waits: %+v", p.Status)
	case <-time.After(100 * time.Millisecond):
	}
}

// TestPollListsWarmProjects starts with an empty list, and finds each project there
// once its cache is kept.
func TestPollListsWarmProjects(t *testing.T) {
	a, start := newAgentFor(t, strings.Replace(fakebroker.Recipe, `"sh", "build.sh"]`, "\"sh\", \"build.sh\", \"{cache}\"]\ncache = true", 1))
	a.broker.Start()
	start()
	p := a.broker.Next()
	for i, want := range [][]string{{}, {"P0"}, {"P1", "P0"}} {
		if got := p.Status.Warm; got == nil || !slices.Equal(got, want) {
			t.Errorf("after %d jobs %q are warm, want %q", i, got, want)
		}
		c := a.broker.NewClient(fmt.Sprint("01", i), func(g *grant.Grant) { g.Project = fmt.Sprint("P", i) })
		c.Cache = "secret"
		p.Reply(http.StatusOK, c.Job)
		a.broker.Next() // while it runs
		c.Build(a.broker, "touch $1/object; exit 1")
		c.Result()
		fakebroker.Receive(t, a.broker.Reports, "report")
		p = a.broker.Next()
	}
}

// TestJobOnAnOlderPollIsNotLost answers an older poll with a job.
func TestJobOnAnOlderPollIsNotLost(t *testing.T) {
	a := startAgent(t)
	first, second := a.broker.NewClient("01A", one), a.broker.NewClient("01B", one)
	a.broker.Next().Reply(http.StatusOK, first.Job)
	older := a.broker.Next()
	first.Build(a.broker, "exit 1")
	first.Result()
	a.broker.Next()
	older.Reply(http.StatusOK, second.Job)
	second.Build(a.broker, "exit 2")
	if r := second.Result(); r.ExitCode != 2 {
		t.Errorf("result %+v", r)
	}
}

func one(g *grant.Grant) { g.CPUCores = 1 }

func TestRefusedJobs(t *testing.T) {
	a := startAgent(t)
	running := a.broker.NewClient("01A", one)
	a.broker.Next().Reply(http.StatusOK, running.Job)
	running.Build(a.broker, "sleep 1000")
	p := a.broker.Next()
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
		p.Reply(http.StatusOK, a.broker.NewClient(c.name, c.change).Job)
		if r := fakebroker.Receive(t, a.broker.Reports, "report"); r.JobID != c.name || r.Outcome != api.OutcomeRefused {
			t.Errorf("%s: report %+v", c.name, r)
		}
		p = a.broker.Next()
	}
	// With both slots taken, no core is offered.
	second := a.broker.NewClient("01B", one)
	p.Reply(http.StatusOK, second.Job)
	if p = a.broker.Next(); p.Status.FreeCores != 0 {
		t.Errorf("status %+v", p.Status)
	}
	p.Reply(http.StatusOK, a.broker.NewClient("01C", one).Job)
	if r := fakebroker.Receive(t, a.broker.Reports, "report"); r.JobID != "01C" || r.Outcome != api.OutcomeRefused {
		t.Errorf("report %+v", r)
	}
	select {
	case answer := <-a.broker.Answers:
		if answer.JobID != "01B" {
			t.Errorf("job %s was answered", answer.JobID)
		}
	case <-time.After(5 * time.Second):
		t.Error("the second job was not answered")
	}
}

func TestEnrollsAgainAfterARefusedSession(t *testing.T) {
	a := startAgent(t)
	a.broker.Next().Reply(http.StatusNoContent, nil)
	p := a.broker.Next()
	a.broker.Forget()
	p.Reply(http.StatusNoContent, nil)
	a.broker.Next()
	if n := a.broker.Enrolled(); n != 2 {
		t.Errorf("enrolled %d times", n)
	}
}

func TestUsesTheSessionFromAPoll(t *testing.T) {
	a := startAgent(t)
	a.broker.Renew()
	a.broker.Next().Reply(http.StatusNoContent, nil)
	a.broker.Next().Reply(http.StatusNoContent, nil) // only the fresh one is valid
	a.broker.Next()
	if n := a.broker.Enrolled(); n != 1 {
		t.Errorf("enrolled %d times", n)
	}
}

func TestWaitsForAnUnreachableBroker(t *testing.T) {
	a, start := newAgent(t)
	start() // its connections wait
	a.broker.Start()
	a.broker.Next()
}

func TestPollsAgainAfterAFailure(t *testing.T) {
	a := startAgent(t)
	a.broker.Next().Reply(http.StatusInternalServerError, &api.Problem{Title: "broken", Code: api.CodeInternal})
	a.broker.Next().Reply(http.StatusBadGateway, nil) // like a proxy in front
	began := time.Now()
	a.broker.Next().Reply(http.StatusTooManyRequests, &api.Problem{Title: "slowly", Code: api.CodeTooFast, RetryAfter: 1})
	a.broker.Next()
	if waited := time.Since(began); waited < time.Second {
		t.Errorf("the broker requested a pause of 1 s, and the agent polled after %v", waited)
	}
}

func TestRefusalsEndTheAgent(t *testing.T) {
	t.Run("its challenge is refused", func(t *testing.T) {
		a, start := newAgent(t)
		a.broker.Refuse(&api.Problem{Title: "bad challenge", Status: http.StatusUnauthorized, Code: api.CodeBadToken})
		a.broker.Start()
		start()
		var p *api.Problem
		if err := fakebroker.Receive(t, a.ended, "end"); !errors.As(err, &p) || p.Code != api.CodeBadToken {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Run("the broker has other keys than before", func(t *testing.T) {
		a, start := newAgent(t)
		_, impostor, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		fetch := func(context.Context) (*grant.Published, error) {
			return &grant.Published{Keys: grant.NewKeySet(grant.NewSigner(impostor).Public())}, nil
		}
		if _, err := session.PinnedKeys(t.Context(), a.dir, a.broker.URL(), fetch, nil); err != nil {
			t.Fatal(err)
		}
		a.broker.Start()
		start()
		var change *session.KeyChange
		if err := fakebroker.Receive(t, a.ended, "end"); !errors.As(err, &change) {
			t.Errorf("Run returned %v", err)
		}
	})
}

// TestUnlistedAgentWaits starts an agent before the operator has listed it.
func TestUnlistedAgentWaits(t *testing.T) {
	a, start := newAgent(t)
	a.broker.Refuse(&api.Problem{Title: "not listed", Status: http.StatusUnauthorized, Code: api.CodeBadSignature})
	a.broker.Start()
	start()
	a.log.await(t, "must add the line")
	a.log.await(t, "ssh-ed25519 ")
	a.broker.Refuse(nil)
	a.broker.Next()
}

// TestRevokedAgent takes the agent off the list in the middle of a job, and lists
// it again.
func TestRevokedAgent(t *testing.T) {
	a := startAgent(t)
	c := a.broker.NewClient("01A")
	a.broker.Next().Reply(http.StatusOK, c.Job)
	p := a.broker.Next()
	mark := filepath.Join(t.TempDir(), "go")
	c.Build(a.broker, "until [ -e '"+mark+"' ]; do sleep 0.02; done; exit 7")
	a.broker.Refuse(&api.Problem{Title: "not listed", Status: http.StatusUnauthorized, Code: api.CodeBadSignature})
	a.broker.Forget()
	p.Reply(http.StatusForbidden, &api.Problem{Title: "revoked", Status: http.StatusForbidden, Code: api.CodeForbidden})
	a.log.await(t, "no longer listed by the broker")
	select {
	case p := <-a.broker.Polls:
		t.Errorf("it polls: %+v", p.Status)
	case err := <-a.ended:
		t.Fatalf("Run returned %v", err)
	default:
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := c.Result(); r.ExitCode != 7 {
		t.Errorf("the job was affected: result %+v", r)
	}
	a.log.await(t, "a report did not arrive") // the broker refuses it; the job's room is already free
	a.broker.Refuse(nil)
	again := a.broker.Next()
	if s := again.Status; s.FreeCores != 4 || s.Draining {
		t.Errorf("listed again, it says %+v", s)
	}
	if n := a.broker.Enrolled(); n != 2 {
		t.Errorf("enrolled %d times", n)
	}
}

func TestDrainWhileRevoked(t *testing.T) {
	a := startAgent(t)
	p := a.broker.Next()
	a.broker.Refuse(&api.Problem{Title: "not listed", Status: http.StatusUnauthorized, Code: api.CodeBadSignature})
	a.broker.Forget()
	p.Reply(http.StatusUnauthorized, &api.Problem{Title: "bad token", Code: api.CodeBadToken})
	a.log.await(t, "no longer listed by the broker")
	close(a.drain)
	if err := fakebroker.Receive(t, a.ended, "end"); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestNewKeyOfTheBroker rotates the broker's key while the agent runs.
func TestNewKeyOfTheBroker(t *testing.T) {
	a := startAgent(t)
	a.broker.Next().Reply(http.StatusNoContent, nil)
	p := a.broker.Next()
	a.broker.Rotate()
	c := a.broker.NewClient("01A")
	p.Reply(http.StatusOK, c.Job)
	c.Build(a.broker, "exit 7")
	if r := c.Result(); r.ExitCode != 7 {
		t.Errorf("result %+v", r)
	}
}

// TestSealedOffer runs a job whose offer the broker cannot read.
func TestSealedOffer(t *testing.T) {
	a := startAgent(t)
	p := a.broker.Next()
	c := a.broker.NewClient("01A")
	c.Seal(a.broker, p.Status.Sealing)
	p.Reply(http.StatusOK, c.Job)
	c.Build(a.broker, "exit 7") // checks and opens the answer
	if r := c.Result(); r.ExitCode != 7 {
		t.Errorf("result %+v", r)
	}
}

func TestDrain(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		a := startAgent(t)
		parked := a.broker.Next()
		close(a.drain)
		last := a.broker.Next()
		if !last.Status.Draining {
			t.Errorf("the last poll says %+v", last.Status)
		}
		last.Reply(http.StatusNoContent, nil)
		if err := fakebroker.Receive(t, a.ended, "end"); err != nil {
			t.Errorf("Run returned %v", err)
		}
		fakebroker.Receive(t, parked.Gone, "end of the older poll")
	})
	t.Run("before it is enrolled", func(t *testing.T) {
		a, start := newAgent(t)
		start()
		close(a.drain)
		if err := fakebroker.Receive(t, a.ended, "end"); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Run("with a job", func(t *testing.T) {
		a := startAgent(t)
		c := a.broker.NewClient("01A")
		a.broker.Next().Reply(http.StatusOK, c.Job)
		a.broker.Next()
		c.Build(a.broker, "echo up; sleep 0.5; exit 7")
		c.Until(channel.TypeLog)
		close(a.drain)
		last := a.broker.Next()
		if !last.Status.Draining || len(last.Status.RunningJobs) != 1 {
			t.Errorf("the last poll says %+v", last.Status)
		}
		last.Reply(http.StatusNoContent, nil)
		if r := c.Result(); r.ExitCode != 7 {
			t.Errorf("result %+v", r)
		}
		if r := fakebroker.Receive(t, a.broker.Reports, "report"); r.Outcome != api.OutcomeBuildFailed {
			t.Errorf("report %+v", r)
		}
		if err := fakebroker.Receive(t, a.ended, "end"); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestStop(t *testing.T) {
	a := startAgent(t)
	c := a.broker.NewClient("01A")
	a.broker.Next().Reply(http.StatusOK, c.Job)
	c.Build(a.broker, "echo up; sleep 1000")
	c.Until(channel.TypeLog)
	a.stop()
	if r := c.Result(); r.Outcome != api.OutcomeAgentFailed || r.Problem == nil || r.Problem.Message != "the agent is shutting down" {
		t.Errorf("result %+v, %+v", r, r.Problem)
	}
	if r := fakebroker.Receive(t, a.broker.Reports, "report"); r.Outcome != api.OutcomeAgentFailed {
		t.Errorf("report %+v", r)
	}
	if err := fakebroker.Receive(t, a.ended, "end"); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
}
