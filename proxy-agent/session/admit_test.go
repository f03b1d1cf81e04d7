//go:build unix

package session

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/peer"
)

func newCertificate(t *testing.T) *peer.Certificate {
	t.Helper()
	cert, err := peer.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// description returns the SDP of a plain answer.
func description(t *testing.T, answer []byte) peer.Description {
	t.Helper()
	var d struct{ SDP peer.Description }
	if err := json.Unmarshal(answer, &d); err != nil {
		t.Fatal(err)
	}
	return d.SDP
}

// plain returns an offer that is not sealed.
func plain(t *testing.T, offer *peer.Offer, candidates ...api.Candidate) *envelope.Offer {
	t.Helper()
	sent, err := envelope.PlainOffer(string(offer.Description()), candidates)
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

func newOffer(t *testing.T, cert *peer.Certificate) *peer.Offer {
	t.Helper()
	offer, err := peer.NewOffer(t.Context(), peer.Config{Certificate: cert, Loopback: true}, allChannels)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { offer.Close() })
	return offer
}

// resign returns a grant's token with the same claims, but with another header and
// signed by method with key.
func resign(t *testing.T, token string, method jwt.SigningMethod, key any, header map[string]any) string {
	t.Helper()
	claims := jwt.MapClaims{}
	old, _, err := jwt.NewParser().ParseUnverified(token, claims)
	if err != nil {
		t.Fatal(err)
	}
	forged := jwt.NewWithClaims(method, claims)
	for _, name := range []string{"typ", "kid"} {
		forged.Header[name] = old.Header[name]
	}
	for name, value := range header {
		forged.Header[name] = value
	}
	text, err := forged.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAdmitRefusesGrants(t *testing.T) {
	w := newWorld(t)
	cert, other := newCertificate(t), newCertificate(t)
	offer := newOffer(t, cert)
	if _, err := w.host.Admit(w.job(w.grant(cert), plain(t, offer).Body)); err != nil {
		t.Fatalf("a good job was refused: %v", err)
	}
	foreign := &world{t: t, signer: newSigner(t)}
	_, thief, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	shift := func(d time.Duration) func(*grant.Grant) {
		return func(g *grant.Grant) { g.IssuedAt, g.ExpiresAt = g.IssuedAt.Add(d), g.ExpiresAt.Add(d) }
	}
	with := func(change func(*grant.Grant)) *api.Job { return w.job(w.grant(cert, change), plain(t, offer).Body) }
	forged := func(method jwt.SigningMethod, key any, header map[string]any) *api.Job {
		job := w.job(w.grant(cert), plain(t, offer).Body)
		job.Grant = resign(t, job.Grant, method, key, header)
		return job
	}
	renamed := w.job(w.grant(cert), plain(t, offer).Body)
	renamed.JobID = "01OTHER"
	tampered := w.job(w.grant(cert), plain(t, offer).Body)
	tampered.Grant = tampered.Grant[:len(tampered.Grant)-8] + "AAAAAAAA"
	garbled := w.job(w.grant(cert), plain(t, offer).Body)
	garbled.Grant = "not a token"

	for _, c := range []struct {
		name string
		job  *api.Job
		want error
		says string
	}{
		{"alg none", forged(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
			grant.ErrSignature, "signing method none is invalid"},
		{"HMAC with the public key", forged(jwt.SigningMethodHS256, []byte(w.signer.Public()), nil),
			grant.ErrSignature, "signing method HS256 is invalid"},
		{"right key id, wrong key", forged(jwt.SigningMethodEdDSA, thief, nil),
			grant.ErrSignature, "the grant is not signed by a known key"},
		{"wrong key id", forged(jwt.SigningMethodEdDSA, thief, map[string]any{"kid": "thief"}),
			ErrUnknownKey, `has not pinned the key that the grant names: the grant is not signed by a known key: key id "thief"`},
		{"no key id", forged(jwt.SigningMethodEdDSA, thief, map[string]any{"kid": nil}), ErrUnknownKey, ""},
		{"a token of another kind", forged(jwt.SigningMethodEdDSA, thief, map[string]any{"typ": "JWT"}),
			grant.ErrMalformed, "its typ is JWT"},
		{"tampered with", tampered, grant.ErrSignature, "the grant is not signed by a known key"},
		{"garbled", garbled, grant.ErrMalformed, "the grant is malformed"},
		{"signed by another broker", foreign.job(w.grant(cert), plain(t, offer).Body), ErrUnknownKey, "key id"},
		{"expired", with(shift(-time.Hour)), grant.ErrExpired, "the grant has expired"},
		{"expired a little more than the leeway ago", with(shift(-37 * time.Second)), grant.ErrExpired, ""},
		{"from the future", with(shift(time.Hour)), grant.ErrNotYetValid, "the grant is not valid yet"},
		{"long-lived", with(func(g *grant.Grant) { g.ExpiresAt = g.ExpiresAt.Add(time.Hour) }), nil,
			"the grant is valid for 1h0m30s, and at most 30s are accepted"},
		{"for another agent", with(func(g *grant.Grant) { g.Agents = []string{"SHA256:other"} }),
			grant.ErrAudience, "the grant is for other agents"},
		{"of another broker", with(func(g *grant.Grant) { g.Issuer = "https://evil.example.org" }), nil, "issued by https://evil.example.org"},
		{"for another job", renamed, nil, "for job 01JOB"},
		{"for another certificate", w.job(w.grant(other), plain(t, offer).Body), grant.ErrFingerprint, "the grant is for another peer certificate"},
		{"no offer", w.job(w.grant(cert), []byte("hello")), nil, "is not a session description"},
		{"a broken envelope", w.job(w.grant(cert), []byte("age-encryption.org/v1\nhello")), nil, "open the envelope"},
	} {
		_, err := w.host.Admit(c.job)
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	if _, err := w.host.Admit(with(shift(-33 * time.Second))); err != nil {
		t.Errorf("expired within the leeway: %v", err)
	}
}

func TestGrantIsUsedOnce(t *testing.T) {
	file := t.TempDir() + "/used.json"
	persistent := func(c *Config) { c.UsedGrants = file }
	w := newWorld(t, persistent)
	cert := newCertificate(t)
	offer := newOffer(t, cert)
	job := w.job(w.grant(cert), plain(t, offer).Body)
	use := func(h *Host) error {
		t.Helper()
		admitted, err := h.Admit(job)
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := h.Answer(t.Context(), admitted)
		if s != nil {
			s.Close(t.Context())
		}
		return err
	}
	if err := use(w.host); err != nil {
		t.Fatal(err)
	}
	if err := use(w.host); !errors.Is(err, ErrReplay) || !strings.Contains(err.Error(), "the grant was used before, for job 01JOB") {
		t.Errorf("on the same agent: %v", err)
	}
	restarted, err := NewHost(w.host.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := use(restarted); !errors.Is(err, ErrReplay) {
		t.Errorf("after a restart: %v", err)
	}
	// Another agent of the same broker: the grant is not for it.
	another := newWorld(t)
	another.host.trust.keys.Store(w.host.trust.keys.Load())
	if _, err := another.host.Admit(job); !errors.Is(err, grant.ErrAudience) || !strings.Contains(err.Error(), "the grant is for other agents") {
		t.Errorf("on another agent: %v", err)
	}
}

// TestOfferWithAnotherCertificate announces the certificate that the grant names
// and then presents another one in DTLS, like a thief who has a grant but not the
// client's key.
func TestOfferWithAnotherCertificate(t *testing.T) {
	w := newWorld(t)
	victim, thief := newCertificate(t), newCertificate(t)
	offer := newOffer(t, thief)
	lie := strings.ReplaceAll(string(plain(t, offer).Body), thief.Fingerprint(), victim.Fingerprint())
	admitted, err := w.host.Admit(w.job(w.grant(victim), []byte(lie)))
	if err != nil {
		t.Fatal(err)
	}
	s, answer, err := w.host.Answer(t.Context(), admitted)
	if err != nil {
		t.Fatal(err)
	}
	ending := make(chan Ending, 1)
	go func() {
		e := s.Serve(t.Context())
		s.Close(t.Context())
		ending <- e
	}()
	if conn, err := offer.Connect(t.Context(), description(t, answer)); err == nil {
		conn.Close()
	}
	if e := <-ending; e.Outcome != api.OutcomeLost && e.Outcome != api.OutcomeRefused {
		t.Errorf("got %+v", e)
	}
}

func TestOffersSealedAndPlain(t *testing.T) {
	for _, c := range []struct {
		name            string
		seal, require   bool
		admitted, reply bool // the answer is sealed
	}{
		{name: "plain", admitted: true},
		{name: "sealed", seal: true, admitted: true, reply: true},
		{name: "sealed, as required", seal: true, require: true, admitted: true, reply: true},
		{name: "plain, although sealed is required", require: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *Config) { cfg.RequireSealed = c.require })
			cert := newCertificate(t)
			candidates := []api.Candidate{w.candidate()}
			offer := plain(t, newOffer(t, cert), candidates...)
			if c.seal {
				var err error
				if offer, err = envelope.SealOffer(string(newOffer(t, cert).Description()), candidates); err != nil {
					t.Fatal(err)
				}
			}
			admitted, err := w.host.Admit(w.job(w.grant(cert), offer.Body))
			if !c.admitted {
				if !errors.Is(err, ErrPlainOffer) || !strings.Contains(err.Error(), "--require-sealed") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s, answer, err := w.host.Answer(t.Context(), admitted)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close(context.Background())
			if envelope.Sealed(answer) != c.reply {
				t.Errorf("sealed: %v", envelope.Sealed(answer))
			}
			opened, err := offer.OpenAnswer("01JOB", answer)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(opened.SDP, opened.DTLSFingerprint) {
				t.Error("it signed for another certificate than the answer announces")
			}
			if _, err := offer.OpenAnswer("01OTHER", answer); !errors.Is(err, envelope.ErrUntrusted) {
				t.Errorf("the answer passes for another job's: %v", err)
			}
		})
	}
}

// TestOfferSealedToAnotherAgent gives a job to an agent that the client did not seal
// the offer to.
func TestOfferSealedToAnotherAgent(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	cert := newCertificate(t)
	offer, err := envelope.SealOffer(string(newOffer(t, cert).Description()), []api.Candidate{other.candidate()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.host.Admit(w.job(w.grant(cert), offer.Body)); err == nil || !strings.Contains(err.Error(), "open the envelope") {
		t.Errorf("got %v", err)
	}
}

func TestGrantWithoutControlChannel(t *testing.T) {
	w := newWorld(t)
	cert := newCertificate(t)
	offer := newOffer(t, cert)
	admitted, err := w.host.Admit(w.job(w.grant(cert, func(g *grant.Grant) { g.Channels = []string{channel.LabelSource} }), plain(t, offer).Body))
	if err != nil {
		t.Fatal(err)
	}
	s, answer, err := w.host.Answer(t.Context(), admitted)
	if err != nil {
		t.Fatal(err)
	}
	ending := make(chan Ending, 1)
	go func() {
		e := s.Serve(t.Context())
		s.Close(t.Context())
		ending <- e
	}()
	if conn, err := offer.Connect(t.Context(), description(t, answer)); err == nil {
		defer conn.Close()
	}
	if e := <-ending; e.Outcome != api.OutcomeRefused || e.Problem.Code != channel.ProblemUngranted {
		t.Errorf("got %+v", e)
	}
}

// fixedClock is a broker's clock that is ahead of this machine's.
type fixedClock time.Duration

func (c fixedClock) Now() time.Time      { return time.Now().Add(time.Duration(c)) }
func (c fixedClock) Skew() time.Duration { return time.Duration(c) }

func TestLifetimesAreJudgedByTheBrokersClock(t *testing.T) {
	for name, c := range map[string]struct {
		skew time.Duration
		says string
	}{
		"behind": {2 * time.Hour, "the clock of this machine is 2h0m0s behind the broker's"},
		"ahead":  {-90 * time.Second, "the clock of this machine is 1m30s ahead of the broker's"},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			w := newWorld(t, func(cfg *Config) {
				cfg.Clock = fixedClock(c.skew)
				cfg.Logger = textLogger(&log)
			})
			cert := newCertificate(t)
			offer := newOffer(t, cert)
			brokers := func(g *grant.Grant) { g.IssuedAt, g.ExpiresAt = g.IssuedAt.Add(c.skew), g.ExpiresAt.Add(c.skew) }
			for range 2 {
				if _, err := w.host.Admit(w.job(w.grant(cert, brokers), plain(t, offer).Body)); err != nil {
					t.Errorf("a grant that is good by the broker's clock: %v", err)
				}
			}
			if n := strings.Count(log.String(), "the clocks differ"); n != 1 {
				t.Errorf("warned %d times:\n%s", n, log.String())
			}
			_, err := w.host.Admit(w.job(w.grant(cert), plain(t, offer).Body)) // valid by this machine's clock only
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a little off", func(t *testing.T) {
		w := newWorld(t, func(cfg *Config) { cfg.Clock = fixedClock(10 * time.Second) })
		cert := newCertificate(t)
		past := func(g *grant.Grant) {
			g.IssuedAt, g.ExpiresAt = g.IssuedAt.Add(-time.Hour), g.ExpiresAt.Add(-time.Hour)
		}
		if _, err := w.host.Admit(w.job(w.grant(cert, past), plain(t, newOffer(t, cert)).Body)); err == nil || strings.Contains(err.Error(), "clock") {
			t.Errorf("got %v", err)
		}
	})
}

func TestForeignKeyIsNotTrusted(t *testing.T) {
	w := newWorld(t)
	cert := newCertificate(t)
	offer := plain(t, newOffer(t, cert), w.candidate())
	impostor, err := identity.GenerateKey(t.TempDir()+"/key", "")
	if err != nil {
		t.Fatal(err)
	}
	admitted, err := w.host.Admit(w.job(w.grant(cert), offer.Body))
	if err != nil {
		t.Fatal(err)
	}
	w.host.Key = impostor
	s, answer, err := w.host.Answer(t.Context(), admitted)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	if _, err := offer.OpenAnswer("01JOB", answer); !errors.Is(err, envelope.ErrUntrusted) {
		t.Errorf("got %v", err)
	}
}
