package server

import (
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

func TestKeysAreRotatedUnderARunningBroker(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	as[struct{}](t, b.post(api.PathAgentPoll+"?wait=0", a.session, idleStatus()), 204)
	fetch := func(tag string) reply {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+api.PathJWKS, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tag != "" {
			req.Header.Set("If-None-Match", tag)
		}
		return b.do(req)
	}
	first := fetch("")
	pinned, err := grant.ParsePublished(first.body)
	if err != nil {
		t.Fatal(err)
	}
	if r := fetch(first.header.Get("ETag")); r.status != 304 || first.header.Get("Cache-Control") != "public, no-cache" {
		t.Errorf("%d, %v", r.status, first.header)
	}
	before := b.grant()

	old := grant.NewSigner(w.key)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rotation, err := old.SignRotation(public, b.srv.cfg.Origin, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.srv.UseKeys(grant.NewSigner(private), &grant.Published{Keys: grant.NewKeySet(public, old.Public()), Rotations: []string{rotation}}); err != nil {
		t.Fatal(err)
	}
	second := fetch(first.header.Get("ETag"))
	published, err := grant.ParsePublished(second.body)
	if err != nil || second.status != 200 {
		t.Fatalf("%d %s, %v", second.status, second.body, err)
	}
	followed, err := pinned.Keys.Follow(published)
	if err != nil {
		t.Fatal(err)
	}
	// The wait began under the old key and continues under the new one.
	waiting := as[api.Waiting](t, <-b.offer(t.Context(), before, "?wait=0"), 202)
	if _, err := grant.NewKeySet(public).Verify(waiting.Grant, time.Now(), 0); err != nil {
		t.Errorf("the fresh grant is not by the new key: %v", err)
	}
	before.Grant = waiting.Grant
	offer := b.offer(t.Context(), before, "")
	b.until("the offer waits", func() bool { return b.srv.board.Stats().Offering == 1 })
	job := as[api.Job](t, b.post(api.PathAgentPoll, a.session, idleStatus()), 200) // with the old session
	if _, err := followed.Verify(job.Grant, time.Now(), 0); err != nil {
		t.Errorf("the agent cannot verify what it got: %v", err)
	}
	as[struct{}](t, b.answer(a, job.JobID), 204)
	wantAnswer(t, offer, a)

	// After the overlap the old key is void.
	stale := w.signGrant(func(*grant.Grant) {})
	path := pathOf(api.PathOffer, someJob) + "?wait=0"
	if r := b.post(path, stale, []byte("o")); r.status == 401 {
		t.Errorf("a grant of the old key in the overlap: %s", r.body)
	}
	if err := b.srv.UseKeys(grant.NewSigner(private), &grant.Published{Keys: grant.NewKeySet(public), Rotations: []string{rotation}}); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, b.post(path, w.signGrant(func(g *grant.Grant) { g.SessionSecs = 2 }), []byte("o")), 401, api.CodeBadToken)
}
