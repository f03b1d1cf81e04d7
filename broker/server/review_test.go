package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// sendReport signs and posts a report.
func (b *broker) sendReport(a *agent, rep api.Report) reply {
	b.t.Helper()
	var err error
	if rep.Signature, err = a.key.Sign(identity.NamespaceReport, rep.SignedBytes()); err != nil {
		b.t.Fatal(err)
	}
	return b.post(api.PathAgentReport, a.session, &rep)
}

// TestARepeatedRefusalEndsNoNewerClaim: the response to a refusal is lost, the
// agent claims the job again, and then it repeats the refusal of its first claim.
func TestARepeatedRefusalEndsNoNewerClaim(t *testing.T) {
	for name, numbered := range map[string]bool{"with the number of the claim": true, "of an agent that sends no number": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.listAgent("bench-1")
			b := w.start()
			poll := b.park(t.Context(), b.login(a))
			g := b.grant()
			offer := b.offer(t.Context(), g, "")
			refusal := api.Report{JobID: g.JobID, Outcome: api.OutcomeRefused}
			if job := as[api.Job](t, <-poll, 200); numbered {
				refusal.Claim = job.Claim
			}
			as[struct{}](t, b.sendReport(a, refusal), 204)
			again := as[api.Job](t, b.post(api.PathAgentPoll, a.session, idleStatus()), 200)
			if again.JobID != g.JobID || again.Claim != 2 {
				t.Fatalf("the agent got claim %d of %s", again.Claim, again.JobID)
			}
			as[struct{}](t, b.sendReport(a, refusal), 204)
			as[struct{}](t, b.answer(a, g.JobID), 204)
			wantAnswer(t, offer, a)
			b.wantReadings("at the end", map[string]float64{`reports_total{outcome="refused"}`: 1, "claims_refused_total": 1})
		})
	}
}

// TestASecondRefusalIsNews: each claim can be refused.
func TestASecondRefusalIsNews(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	poll := b.park(t.Context(), a)
	g := b.grant()
	offer := b.offer(t.Context(), g, "")
	for n := 1; n <= 3; n++ {
		job := as[api.Job](t, <-poll, 200)
		if job.Claim != n {
			t.Fatalf("claim %d", job.Claim)
		}
		as[struct{}](t, b.sendReport(a, api.Report{JobID: g.JobID, Claim: n, Outcome: api.OutcomeRefused}), 204)
		if n < 3 {
			poll = b.goPost(t.Context(), api.PathAgentPoll, a.session, idleStatus())
		}
	}
	wantProblem(t, <-offer, 504, api.CodeNoAnswer)
}

// TestEditsOfTheListCountAtOnce: the operator changes the line of an agent whose
// poll is parked, and the next grant knows.
func TestEditsOfTheListCountAtOnce(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	w.agents[0].Targets = []string{"esp32"}
	b := w.start()
	b.park(t.Context(), b.login(a))
	wantProblem(t, b.post(api.PathGrantRequest, "", grantRequest()), 503, api.CodeNoTarget)

	w.agents[0].Targets = []string{"esp32", "esp32c3"}
	b.srv.cfg.Directory.Replace(w.agents)
	b.grant()
	w.agents[0].Name, w.agents[0].Tags = "renamed", []string{"eu"}
	b.srv.cfg.Directory.Replace(w.agents)
	req := grantRequest()
	req.Agents, req.Tags = []string{"renamed"}, []string{"eu"}
	as[api.GrantResponse](t, b.post(api.PathGrantRequest, "", req), 200)
	w.agents[0].Targets = []string{"esp32"}
	b.srv.cfg.Directory.Replace(w.agents)
	wantProblem(t, b.post(api.PathGrantRequest, "", grantRequest()), 503, api.CodeNoTarget)
}

// TestCandidatesAreCountedByAgent: an agent that takes the job over from one that
// has posted as many candidates as it may can post its own.
func TestCandidatesAreCountedByAgent(t *testing.T) {
	w := newWorld(t)
	first, second := w.listAgent("bench-1"), w.listAgent("bench-2")
	w.adjust = func(c *Config) { c.AnswerTimeout = 10 * time.Second }
	b := w.start()
	b.login(second)
	poll := b.park(t.Context(), b.login(first))
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", second.session, idleStatus()), 204)
	g := b.grant()
	offer := b.offer(t.Context(), g, "")
	job := as[api.Job](t, <-poll, 200)
	for i := range api.MaxTrickled {
		as[struct{}](t, b.candidate(g.JobID, first.session, fmt.Sprint("first ", i)), 204)
	}
	wantProblem(t, b.candidate(g.JobID, first.session, "one more"), 429, api.CodeTooFast)
	as[struct{}](t, b.sendReport(first, api.Report{JobID: g.JobID, Claim: job.Claim, Outcome: api.OutcomeAgentFailed}), 204)
	as[api.Job](t, b.post(api.PathAgentPoll, second.session, idleStatus()), 200)
	for i := range api.MaxTrickled {
		if r := b.candidate(g.JobID, second.session, fmt.Sprint("second ", i)); r.status != 204 {
			t.Fatalf("candidate %d of the second agent: %d %s", i, r.status, r.body)
		}
	}
	wantProblem(t, b.candidate(g.JobID, second.session, "one more"), 429, api.CodeTooFast)
	as[struct{}](t, b.answer(second, g.JobID), 204)
	wantAnswer(t, offer, second)
}

// TestEventsDeliverTheAnswer: the client posts its offer without a wait and
// receives candidates and answer by bounded requests. The agent may be parked
// before or park later.
func TestEventsDeliverTheAnswer(t *testing.T) {
	for _, parkedFirst := range []bool{false, true} {
		t.Run(fmt.Sprint("parked first: ", parkedFirst), func(t *testing.T) {
			w := newWorld(t)
			a := w.listAgent("bench-1")
			w.adjust = func(c *Config) { c.AnswerTimeout = 10 * time.Second }
			b := w.start()
			b.login(a)
			full := idleStatus()
			full.FreeCores = 0
			as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", a.session, full), 204)
			g := b.grant()
			as[api.Waiting](t, <-b.offer(t.Context(), g, "?wait=0"), 202)
			as[struct{}](t, b.events(g.JobID, g.Grant, "?wait=0"), 204)

			var poll <-chan reply
			if parkedFirst {
				poll = b.park(t.Context(), a)
			}
			events := make(chan reply, 1)
			go func() { events <- b.events(g.JobID, g.Grant, "?wait=20") }()
			b.until("the job waits", func() bool { return parkedFirst || b.srv.board.Stats().Waiting == 1 })
			if !parkedFirst {
				poll = b.goPost(t.Context(), api.PathAgentPoll, a.session, idleStatus())
			}
			as[api.Job](t, <-poll, 200)
			as[struct{}](t, b.candidate(g.JobID, a.session, "c1"), 204)
			if got := as[[]api.Event](t, <-events, 200); len(got) != 1 || got[0].Seq != 1 || string(got[0].Candidate) != "c1" || got[0].Answer != nil {
				t.Fatalf("events before the answer: %+v", got)
			}
			go func() { events <- b.events(g.JobID, g.Grant, "?wait=20&after=1") }()
			as[struct{}](t, b.answer(a, g.JobID), 204)
			got := as[[]api.Event](t, <-events, 200)
			if len(got) != 1 || got[0].Seq != 2 || string(got[0].Answer) != "answer by bench-1" || got[0].Candidate != nil {
				t.Fatalf("the answer: %+v", got)
			}
			// A response may be lost: the same events again.
			if again := as[[]api.Event](t, b.events(g.JobID, g.Grant, "?wait=0"), 200); len(again) != 2 || string(again[1].Answer) != "answer by bench-1" {
				t.Errorf("again: %+v", again)
			}
			as[struct{}](t, b.confirm(g, a, api.OutcomeSucceeded, 0), 204) // it has the answer
		})
	}
}

// TestAnAnswerInTheResponseIsNoEvent: a client that has the answer from its offer
// receives only candidates.
func TestAnAnswerInTheResponseIsNoEvent(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	poll := b.park(t.Context(), b.login(a))
	g := b.grant()
	b.meet(g, a, poll)
	as[struct{}](t, b.candidate(g.JobID, a.session, "c1"), 204)
	if got := as[[]api.Event](t, b.events(g.JobID, g.Grant, "?wait=0"), 200); len(got) != 1 || string(got[0].Candidate) != "c1" {
		t.Errorf("events: %+v", got)
	}
}

// raw sends bytes over a connection of its own, closes the sending side, and reads
// all that the broker sends back until it closes the connection.
func (b *broker) raw(t *testing.T, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	response, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(response)
}

// TestABrokenRequestIsNoSuccess: a body that breaks off, and a sender that closes
// its side while the broker holds its request, get an error and never a 200.
func TestABrokenRequestIsNoSuccess(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus()), 204)
	g := b.grant()
	grant, session := "Authorization: Bearer "+g.Grant+"\r\n", "Authorization: Bearer "+a.session+"\r\n"
	status, err := json.Marshal(idleStatus())
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 5000) // more than the server reads at first
	for _, tt := range []struct{ path, header, body, want string }{
		{"POST " + api.PathGrantRequest, "Content-Length: 9000\r\n", "{", "HTTP/1.1 400 "},
		{"POST " + api.PathGrantRequest, "Content-Length: 9000\r\n", long, "HTTP/1.1 400 "},
		{"POST " + api.PathAgentHello, "Content-Length: 9000\r\n", long, "HTTP/1.1 400 "},
		{"POST " + api.PathAgentPoll, session + "Content-Length: 9000\r\n", long, "HTTP/1.1 400 "},
		{"POST " + api.PathAgentReport, session + "Content-Length: 9000\r\n", long, "HTTP/1.1 400 "},
		{"POST " + pathOf(api.PathAnswer, g.JobID), session + "Content-Length: 9000\r\n", long, "HTTP/1.1 400 "},
		{"POST " + pathOf(api.PathOffer, g.JobID), grant + "Content-Length: 9000\r\n", long, "HTTP/1.1 400 "},
		{"POST " + pathOf(api.PathCandidate, g.JobID), grant + "Content-Length: 8000\r\n", long, "HTTP/1.1 400 "},
		{"POST " + pathOf(api.PathConfirmation, g.JobID), grant + "Content-Length: 9000\r\n", long, "HTTP/1.1 400 "},
		{"POST " + pathOf(api.PathOffer, g.JobID), grant + "Transfer-Encoding: chunked\r\n", "5\r\nhel", "HTTP/1.1 400 "},
		// The request is whole, and its sender leaves while it is held.
		{"POST " + pathOf(api.PathOffer, g.JobID), grant + "Content-Length: 5\r\n", "offer", "HTTP/1.1 408 "},
		{"POST " + api.PathAgentPoll, session + fmt.Sprintf("Content-Length: %d\r\n", len(status)), string(status), "HTTP/1.1 408 "},
		{"GET " + pathOf(api.PathEvents, g.JobID), grant, "", "HTTP/1.1 408 "},
	} {
		got := b.raw(t, tt.path+" HTTP/1.1\r\nHost: x\r\n"+tt.header+"\r\n"+tt.body)
		if !strings.HasPrefix(got, tt.want) || !strings.Contains(got, "Connection: close") {
			t.Errorf("%s with %q: %.300s", tt.path, tt.header, got)
		}
	}
}

// TestABodyThatStopsTimesOut: the read deadline ends it with 408.
func TestABodyThatStopsTimesOut(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader("{"), iotest.ErrReader(os.ErrDeadlineExceeded)))
	_, err := readBody(&response{ResponseWriter: httptest.NewRecorder()}, r, 100, api.TypeJSON)
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != http.StatusRequestTimeout {
		t.Errorf("%v", err)
	}
}

// TestTwoLengthsCloseTheConnection: what follows a request with both a length and
// chunks is not served as another request.
func TestTwoLengthsCloseTheConnection(t *testing.T) {
	b := newWorld(t).start()
	smuggled := "GET " + api.PathHealth + " HTTP/1.1\r\nHost: x\r\n\r\n"
	got := b.raw(t, "POST "+api.PathGrantRequest+" HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+smuggled)
	if !strings.Contains(got, "Connection: close") || strings.Count(got, "HTTP/1.1 ") != 1 {
		t.Errorf("%s", got)
	}
}

// TestDescriptionsHaveFewCandidates: a plain offer or answer that aims the other
// end at many addresses is refused.
func TestDescriptionsHaveFewCandidates(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	poll := b.park(t.Context(), b.login(a))
	g := b.grant()
	with := func(n int) []byte {
		return []byte(strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 1 typ host\\r\\n", n))
	}
	offer, answer := pathOf(api.PathOffer, g.JobID), pathOf(api.PathAnswer, g.JobID)
	wantProblem(t, b.post(offer, g.Grant, with(api.MaxTrickled+1)), 400, api.CodeMalformed)
	offered := b.goPost(t.Context(), offer, g.Grant, with(api.MaxTrickled))
	as[api.Job](t, <-poll, 200)
	wantProblem(t, b.post(answer, a.session, with(api.MaxTrickled+1)), 400, api.CodeMalformed)
	as[struct{}](t, b.post(answer, a.session, with(api.MaxTrickled)), 204)
	if r := <-offered; r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}
