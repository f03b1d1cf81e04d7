package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

func (b *broker) events(job, token, query string) reply {
	return b.send(b.t.Context(), http.MethodGet, pathOf(api.PathEvents, job)+query, token, []byte(nil))
}

func (b *broker) candidate(job, token, body string) reply {
	return b.post(pathOf(api.PathCandidate, job), token, []byte(body))
}

func wantEvents(t *testing.T, r reply, want ...string) {
	t.Helper()
	var got []string
	for _, e := range as[[]api.Event](t, r, 200) {
		got = append(got, fmt.Sprint(e.Seq, " ", string(e.Candidate)))
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestTrickle passes candidates both ways; the client posts some before its offer.
func TestTrickle(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	poll := b.park(t.Context(), a)
	g := b.grant()
	if r := b.candidate(g.JobID, g.Grant, "c1"); r.status != 204 {
		t.Fatalf("early candidate: %d %s", r.status, r.body)
	}
	wantProblem(t, b.candidate(g.JobID, a.session, "a0"), 404, api.CodeUnknownJob)
	wantProblem(t, b.events(g.JobID, a.session, ""), 404, api.CodeUnknownJob)

	offer := b.offer(t.Context(), g, "")
	as[api.Job](t, <-poll, 200)
	// Each end may wait before the other has posted anything.
	waiting := make(chan reply, 1)
	go func() { waiting <- b.events(g.JobID, g.Grant, "?after=0&wait=20") }()
	for _, body := range []string{"a1", "a1", "a2"} { // one was sent twice
		if r := b.candidate(g.JobID, a.session, body); r.status != 204 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	if r := <-waiting; r.status != 200 {
		t.Errorf("the waiting client got %d", r.status)
	}
	wantEvents(t, b.events(g.JobID, g.Grant, ""), "1 a1", "2 a2")
	wantEvents(t, b.events(g.JobID, g.Grant, "?after=1"), "2 a2")
	wantEvents(t, b.events(g.JobID, a.session, ""), "1 c1")
	if r := b.events(g.JobID, a.session, "?after=1&wait=0"); r.status != 204 || len(r.body) != 0 {
		t.Errorf("at the end of the wait: %d %q", r.status, r.body)
	}
	b.answer(a, g.JobID)
	wantAnswer(t, offer, a)
}

func TestTrickleIsRefused(t *testing.T) {
	w := newWorld(t)
	a, other := w.listAgent("bench-1"), w.listAgent("bench-2")
	b := w.start()
	b.login(a)
	b.login(other)
	poll := b.park(t.Context(), a)
	g, another := b.grant(), b.grant()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.offer(ctx, g, "")
	as[api.Job](t, <-poll, 200)

	wantProblem(t, b.candidate(g.JobID, "", "x"), 401, api.CodeUnauthorized)
	wantProblem(t, b.candidate(g.JobID, "nonsense", "x"), 401, api.CodeBadToken)
	wantProblem(t, b.candidate(g.JobID, "no.jwt.here", "x"), 401, api.CodeBadToken)
	wantProblem(t, b.candidate(g.JobID, another.Grant, "x"), 403, api.CodeForbidden)
	wantProblem(t, b.candidate(g.JobID, other.session, "x"), 409, api.CodeAlreadyAnswered)
	wantProblem(t, b.events(g.JobID, other.session, "?wait=0"), 409, api.CodeAlreadyAnswered)
	wantProblem(t, b.candidate(g.JobID, g.Grant, ""), 400, api.CodeMalformed)
	wantProblem(t, b.candidate(g.JobID, g.Grant, strings.Repeat("x", api.MaxCandidate+1)), 413, api.CodeTooLarge)
	wantProblem(t, b.post(pathOf(api.PathCandidate, g.JobID), g.Grant, map[string]int{}), 415, api.CodeMediaType)
	wantProblem(t, b.events(g.JobID, g.Grant, "?after=-1"), 400, api.CodeMalformed)
	wantProblem(t, b.events(g.JobID, g.Grant, "?after=x"), 400, api.CodeMalformed)
	expired := w.signGrant(func(g *grant.Grant) {
		g.IssuedAt, g.ExpiresAt = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
	})
	wantProblem(t, b.candidate(someJob, expired, "x"), 410, api.CodeExpired)
}

// TestTrickleOutlivesTheGrant: connecting may take longer than the grant lives.
func TestTrickleOutlivesTheGrant(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.park(t.Context(), b.login(a))
	g := b.grant()
	b.clock.pass(api.GrantLife + 5*time.Second)
	if r := b.candidate(g.JobID, g.Grant, "c1"); r.status != 204 {
		t.Errorf("a little late: %d %s", r.status, r.body)
	}
	b.clock.pass(api.JobMemory - 4*time.Second)
	wantProblem(t, b.candidate(g.JobID, g.Grant, "c2"), 410, api.CodeExpired)
}

func TestTrickleIsBounded(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	poll := b.park(t.Context(), a)
	g := b.grant()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.offer(ctx, g, "")
	as[api.Job](t, <-poll, 200)
	large := func(i int) string { return fmt.Sprintf("%02d", i) + strings.Repeat("x", api.MaxCandidate-2) }
	for i := range api.MaxTrickled {
		if r := b.candidate(g.JobID, g.Grant, large(i)); r.status != 204 {
			t.Fatalf("candidate %d: %d %s", i, r.status, r.body)
		}
	}
	wantProblem(t, b.candidate(g.JobID, g.Grant, "one more"), 429, api.CodeTooFast)
	// The responses are bounded, too, and no candidate is left out.
	for seen, rounds := 0, 0; seen < api.MaxTrickled; rounds++ {
		r := b.events(g.JobID, a.session, fmt.Sprint("?after=", seen))
		if len(r.body) > api.MaxBody {
			t.Fatalf("a response of %d bytes", len(r.body))
		}
		for _, e := range as[[]api.Event](t, r, 200) {
			if e.Seq != seen+1 || !bytes.Equal(e.Candidate, []byte(large(seen))) {
				t.Fatalf("event %d after %d", e.Seq, seen)
			}
			seen++
		}
	}
}
