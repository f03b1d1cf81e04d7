//go:build unix

package session

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/peer"
)

func TestGrantsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	cert, err := peer.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	other, err := peer.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	offer, err := peer.NewOffer(t.Context(), peer.Config{Certificate: cert, Loopback: true}, allChannels)
	if err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	if _, err := w.host.Admit(w.job(w.grant(cert), offer.Bytes())); err != nil {
		t.Fatalf("a good job was refused: %v", err)
	}

	_, foreignKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign := &world{t: t, signer: grant.NewSigner(foreignKey)}
	hour := func(d time.Duration) func(*grant.Grant) {
		return func(g *grant.Grant) { g.IssuedAt, g.ExpiresAt = g.IssuedAt.Add(d), g.ExpiresAt.Add(d) }
	}
	with := func(change func(*grant.Grant)) *api.Job { return w.job(w.grant(cert, change), offer.Bytes()) }
	renamed := w.job(w.grant(cert), offer.Bytes())
	renamed.JobID = "01OTHER"
	tampered := w.job(w.grant(cert), offer.Bytes())
	tampered.Grant = tampered.Grant[:len(tampered.Grant)-8] + "AAAAAAAA"

	for _, c := range []struct {
		name string
		job  *api.Job
		want error
		says string
	}{
		{"tampered with", tampered, grant.ErrSignature, ""},
		{"signed by somebody else", foreign.job(w.grant(cert), offer.Bytes()), grant.ErrSignature, ""},
		{"expired", with(hour(-time.Hour)), grant.ErrExpired, ""},
		{"from the future", with(hour(time.Hour)), grant.ErrNotYetValid, ""},
		{"for another agent", with(func(g *grant.Grant) { g.Agents = []string{"SHA256:other"} }), grant.ErrAudience, ""},
		{"of another broker", with(func(g *grant.Grant) { g.Issuer = "https://evil.example.org" }), nil, "issued by https://evil.example.org"},
		{"for another job", renamed, nil, "for job 01JOB"},
		{"for another certificate", w.job(w.grant(other), offer.Bytes()), grant.ErrFingerprint, ""},
		{"no offer", w.job(w.grant(cert), []byte("hello")), nil, "offer"},
	} {
		_, err := w.host.Admit(c.job)
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestGrantCountsOnce(t *testing.T) {
	w := newWorld(t)
	cert, err := peer.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	offer, err := peer.NewOffer(t.Context(), peer.Config{Certificate: cert, Loopback: true}, allChannels)
	if err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	for i, want := range []error{nil, ErrReplay} {
		job := w.job(w.grant(cert), offer.Bytes())
		g, err := w.host.Admit(job)
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := w.host.Answer(t.Context(), job, g)
		if !errors.Is(err, want) {
			t.Errorf("use %d: got %v", i+1, err)
		}
		if s != nil {
			defer s.Close()
		}
	}
}

func TestOnceForgetsInTime(t *testing.T) {
	var o once
	start := time.Now()
	if !o.take("a", start, start.Add(time.Minute)) || o.take("a", start.Add(time.Minute), start.Add(time.Hour)) {
		t.Error("a was not remembered for its minute")
	}
	if !o.take("b", start.Add(2*time.Minute), start.Add(3*time.Minute)) || len(o.used) != 1 {
		t.Errorf("a is still remembered: %v", o.used)
	}
}

// TestOfferThatLiesAboutItsCertificate announces the certificate that the
// grant names and then presents another one in DTLS.
func TestOfferThatLiesAboutItsCertificate(t *testing.T) {
	w := newWorld(t)
	victim, err := peer.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	thief, err := peer.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	offer, err := peer.NewOffer(t.Context(), peer.Config{Certificate: thief, Loopback: true}, allChannels)
	if err != nil {
		t.Fatal(err)
	}
	lie := strings.ReplaceAll(string(offer.Bytes()), thief.Fingerprint(), victim.Fingerprint())
	job := w.job(w.grant(victim), []byte(lie))
	g, err := w.host.Admit(job)
	if err != nil {
		t.Fatal(err)
	}
	s, answer, err := w.host.Answer(t.Context(), job, g)
	if err != nil {
		t.Fatal(err)
	}
	ending := make(chan Ending, 1)
	go func() { ending <- s.Serve(t.Context()) }()
	if conn, err := offer.Connect(t.Context(), answer); err == nil {
		conn.Close()
	}
	if e := <-ending; e.Outcome != api.OutcomeLost && e.Outcome != api.OutcomeRefused {
		t.Errorf("got %+v", e)
	}
}
