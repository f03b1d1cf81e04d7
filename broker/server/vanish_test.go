package server

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/farforge/farforge/common/api"
)

// ownLine is a connection of one agent to the broker, which a test can cut.
type ownLine struct {
	mu    sync.Mutex
	conns []net.Conn
	http  *http.Client
}

func newLine(t *testing.T) *ownLine {
	l := new(ownLine)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns = append(l.conns, c)
		return c, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	l.http = &http.Client{Transport: transport}
	return l
}

func (l *ownLine) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// over returns the same broker, reached with another HTTP client.
func (b *broker) over(c *http.Client) *broker {
	world, other := *b.world, *b
	world.http = c
	other.world = &world
	return &other
}

func (b *broker) vanished(a *agent) {
	b.t.Helper()
	b.until(a.name+" has vanished", func() bool {
		v, _ := b.srv.cfg.Directory.Agent(a.key.Fingerprint())
		return v.Vanished
	})
}

// candidates returns the names of the candidates for a job.
func candidates(g api.GrantResponse) string {
	var names []string
	for _, c := range g.Candidates {
		names = append(names, c.Name)
	}
	return strings.Join(names, " ")
}

// TestAVanishedConnectionCountsAtOnce: the grace time does not apply.
func TestAVanishedConnectionCountsAtOnce(t *testing.T) {
	w := newWorld(t)
	a, c := w.listAgent("bench-1"), w.listAgent("bench-2")
	b := w.start()
	b.login(a)
	b.login(c)
	line := newLine(t)
	b.over(line.http).park(t.Context(), a)
	if g := b.grant(); candidates(g) != "bench-1" {
		t.Fatalf("candidates %s", candidates(g))
	}

	line.cut()
	b.vanished(a)
	p := wantProblem(t, b.post(api.PathGrantRequest, "", grantRequest()), 503, api.CodeNoAgent)
	if p.RetryAfter != 1 || !strings.Contains(p.Detail, "lost its connection") {
		t.Errorf("alone: %+v", p)
	}
	if v, _ := b.srv.cfg.Directory.Agent(a.key.Fingerprint()); v.LastSeen.IsZero() {
		t.Error("the time of the agent's last poll is unknown")
	}
	b.park(t.Context(), c)
	for range 20 { // the choice is random
		if g := b.grant(); candidates(g) != "bench-2" {
			t.Fatalf("with another: candidates %s", candidates(g))
		}
	}
	b.over(line.http).park(t.Context(), a) // only the connection was lost
	if g := b.grant(); len(g.Candidates) != 2 {
		t.Errorf("after its return: candidates %s", candidates(g))
	}
}

// TestAStreamThatIsResetIsAVanishedConnection: the other streams of the HTTP/2
// connection are not affected.
func TestAStreamThatIsResetIsAVanishedConnection(t *testing.T) {
	w := newWorld(t)
	a, c := w.listAgent("bench-1"), w.listAgent("bench-2")
	b := w.start()
	ts := httptest.NewUnstartedServer(b.srv.Handler())
	ts.EnableHTTP2 = true
	ts.StartTLS()
	defer ts.Close()
	b.url, b.http = ts.URL, ts.Client()
	b.login(a)
	b.login(c)
	ctx, reset := context.WithCancel(t.Context())
	b.park(ctx, a)
	poll := b.park(t.Context(), c)
	reset()
	b.vanished(a)
	g := b.grant()
	if candidates(g) != "bench-2" {
		t.Errorf("candidates %s", candidates(g))
	}
	b.meet(g, c, poll)
}

// TestEndedPollsHaveNotVanished: polls that a newer poll, a job or their time ends.
func TestEndedPollsHaveNotVanished(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	old, line := newLine(t), newLine(t)
	superseded := b.over(old.http).park(t.Context(), a)
	newer := b.over(line.http).goPost(t.Context(), api.PathAgentPoll, a.session, idleStatus())
	as[struct{}](t, <-superseded, 204)
	old.cut()
	g := b.grant()
	offer := b.offer(t.Context(), g, "")
	as[api.Job](t, <-newer, 200)
	line.cut() // the agent answers over another connection
	b.grant()
	as[struct{}](t, b.answer(a, g.JobID), 204)
	wantAnswer(t, offer, a)
	b.grant()
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus()), 204)
	b.grant()
}

// TestAJobThatWaitsForAVanishedAgent keeps its place: the agent may return before
// the client.
func TestAJobThatWaitsForAVanishedAgent(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	b.clock.pass(b.srv.cfg.AgentGrace) // until the broker knows which agents are there
	line := newLine(t)
	full := idleStatus()
	full.FreeCores = 0
	b.over(line.http).goPost(t.Context(), api.PathAgentPoll, a.session, full)
	b.until("the agent is parked", func() bool { return b.srv.board.Stats().Parked == 1 })
	g := b.grant()
	offer := b.offer(t.Context(), g, "?wait=1")
	b.until("the offer waits", func() bool { return b.srv.board.Stats().Queued == 1 })
	line.cut()
	wantProblem(t, <-offer, 503, api.CodeNoAgent)
	poll := b.park(t.Context(), a)
	b.meet(g, a, poll) // the same offer again
}
