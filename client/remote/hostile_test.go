package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/peer"
)

// untouched is an agent that must not get a build. It runs only if a client sends one.
func untouched(t *testing.T) fakefarm.Agent {
	return func(context.Context, *fakefarm.Session) error {
		t.Error("a build was sent to an agent that was refused")
		return nil
	}
}

// swapSDP makes the broker answer in place of the agent, with its own DTLS certificate
// and the agent's signature on the answer.
func swapSDP(t *testing.T) func(job string, offer, answer []byte) []byte {
	return func(_ string, offer, answer []byte) []byte {
		var sent struct{ SDP peer.Description }
		if err := json.Unmarshal(offer, &sent); err != nil {
			t.Error(err)
			return answer
		}
		conn, own, err := peer.NewAnswer(t.Context(), peer.Config{Loopback: true}, sent.SDP, func(string) error { return nil })
		if err != nil {
			t.Error(err)
			return answer
		}
		t.Cleanup(func() { _ = conn.Close() })
		var theirs map[string]any
		if err := json.Unmarshal(answer, &theirs); err != nil {
			t.Error(err)
			return answer
		}
		theirs["sdp"] = own
		forged, err := json.Marshal(theirs)
		if err != nil {
			t.Error(err)
		}
		return forged
	}
}

// TestAttacks: the client refuses each attack of a broker or a proxy with exit code 7,
// before it sends anything of the project.
func TestAttacks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		attack func(*testing.T, *fakefarm.Broker, *fakefarm.Settings, *try)
		want   string
		hint   string
	}{
		{"no sealing key", func(_ *testing.T, _ *fakefarm.Broker, s *fakefarm.Settings, _ *try) {
			s.Candidates = func(c []api.Candidate) []api.Candidate { c[0].Sealing = nil; return c }
		}, "offers the agent bench without a key to seal the offer to", "--allow-unsealed"},
		{"sealing key of the broker", func(t *testing.T, b *fakefarm.Broker, s *fakefarm.Settings, _ *try) {
			own, err := envelope.NewKey()
			if err != nil {
				t.Fatal(err)
			}
			s.Candidates = func(c []api.Candidate) []api.Candidate { c[0].Sealing.Recipient = own.Recipient(); return c }
		}, "the agent has not signed the sealing key", "has replaced an agent's key"},
		{"sealing key of the broker, unsealed allowed", func(t *testing.T, b *fakefarm.Broker, s *fakefarm.Settings, x *try) {
			x.job.AllowUnsealed = true
			own, err := envelope.NewKey()
			if err != nil {
				t.Fatal(err)
			}
			s.Candidates = func(c []api.Candidate) []api.Candidate { c[0].Sealing.Recipient = own.Recipient(); return c }
		}, "the agent has not signed the sealing key", "tell its operator"},
		{"sealing key without a public key", func(_ *testing.T, _ *fakefarm.Broker, s *fakefarm.Settings, _ *try) {
			s.Candidates = func(c []api.Candidate) []api.Candidate { c[0].PublicKey = ""; return c }
		}, "not a public key", "nothing of your project was sent"},
		{"public key of another fingerprint", func(t *testing.T, _ *fakefarm.Broker, s *fakefarm.Settings, _ *try) {
			other := fakefarm.NewKey(t)
			s.Candidates = func(c []api.Candidate) []api.Candidate { c[0].Fingerprint = other.Fingerprint(); return c }
		}, "has the key SHA256:", ""},
		{"known agent with another key", func(t *testing.T, b *fakefarm.Broker, s *fakefarm.Settings, x *try) {
			if err := x.known.Trust(x.job.Trust.Principal(fakefarm.Name), fakefarm.NewKey(t).Public()); err != nil {
				t.Fatal(err)
			}
		}, "WARNING: THE IDENTITY OF THE AGENT bench@127.0.0.1:", "ANOTHER MACHINE MAY BE POSING AS THIS AGENT"},
		{"known agent with another key, which the broker hides", func(t *testing.T, b *fakefarm.Broker, s *fakefarm.Settings, x *try) {
			x.job.AllowUnsealed = true
			s.Candidates = func(c []api.Candidate) []api.Candidate { c[0].Sealing, c[0].PublicKey = nil, ""; return c }
			if err := x.known.Trust(x.job.Trust.Principal(fakefarm.Name), fakefarm.NewKey(t).Public()); err != nil {
				t.Fatal(err)
			}
		}, "HAS CHANGED", "presented key:  SHA256:"},
		{"unknown agent with --strict-agents", func(_ *testing.T, _ *fakefarm.Broker, _ *fakefarm.Settings, x *try) {
			x.job.Trust.Strict = true
		}, "is not known, and --strict-agents trusts no other", "client agents trust --known-agents '"},
		{"agent that the request does not name", func(_ *testing.T, _ *fakefarm.Broker, _ *fakefarm.Settings, x *try) {
			x.job.Need.Agents = []string{"another"}
		}, "offers the agent bench (SHA256:", "tell the broker's operator"},
		{"agent that was excluded", func(_ *testing.T, b *fakefarm.Broker, _ *fakefarm.Settings, x *try) {
			x.job.Need.ExcludeAgents = []string{b.Key.Fingerprint()}
		}, "which the request does not allow", ""},
		{"answer in plain to a sealed offer", func(_ *testing.T, _ *fakefarm.Broker, s *fakefarm.Settings, _ *try) {
			s.Answer = func(string, []byte, []byte) []byte { return []byte(`{"type":"answer","sdp":"v=0"}`) }
		}, "a sealed offer was answered in plain", "may be posing as the agent"},
		{"garbled answer", func(_ *testing.T, _ *fakefarm.Broker, s *fakefarm.Settings, _ *try) {
			s.Answer = func(_ string, _, a []byte) []byte { a[len(a)-1] ^= 1; return a }
		}, "the agent's answer cannot be trusted", ""},
		{"answer of an agent that is not a candidate", func(t *testing.T, _ *fakefarm.Broker, s *fakefarm.Settings, _ *try) {
			s.AnswersAs = fakefarm.NewKey(t)
		}, "is not among the candidates", ""},
		{"SDP swapped, DTLS terminated by the broker", func(t *testing.T, _ *fakefarm.Broker, s *fakefarm.Settings, x *try) {
			x.job.AllowUnsealed = true
			s.Candidates = func(c []api.Candidate) []api.Candidate { c[0].Sealing = nil; return c }
			s.Answer = swapSDP(t)
		}, "the offer or the answer was changed on its way", "may be posing as the agent"},
		{"answer without a signature", func(t *testing.T, _ *fakefarm.Broker, s *fakefarm.Settings, x *try) {
			x.job.AllowUnsealed = true
			s.Candidates = func(c []api.Candidate) []api.Candidate { c[0].Sealing = nil; return c }
			s.Answer = func(_ string, _, answer []byte) []byte {
				var d map[string]any
				if err := json.Unmarshal(answer, &d); err != nil {
					t.Error(err)
				}
				delete(d, "agent")
				bare, _ := json.Marshal(d) // a map of strings
				return bare
			}
		}, "no agent has signed it", ""},
		{"offer swapped", func(_ *testing.T, _ *fakefarm.Broker, s *fakefarm.Settings, x *try) {
			x.job.AllowUnsealed = true
			s.Candidates = func(c []api.Candidate) []api.Candidate { c[0].Sealing = nil; return c }
			s.Offer = func(offer []byte) []byte { return append(offer, '\n') } // the same SDP, other bytes
		}, "was changed on its way", ""},
		{"certificate that is not the signed one", func(_ *testing.T, _ *fakefarm.Broker, s *fakefarm.Settings, _ *try) {
			s.Promise = func(string) string { return strings.Repeat("AB:", 31) + "AB" }
		}, "the other end of the connection is not bench: it presents the certificate", "may be posing as the agent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := fakefarm.New(t, untouched(t))
			x := newTry(t, b)
			b.Set(func(s *fakefarm.Settings) { tt.attack(t, b, s, x) })
			before, _ := os.ReadFile(x.known.Path())
			_, err := Run(t.Context(), x.job)
			var e *cli.Error
			if !errors.As(err, &e) || e.Exit != cli.Verification || !strings.Contains(err.Error(), tt.want) || !strings.Contains(strings.Join(e.Hints, "\n"), tt.hint) {
				t.Fatalf("got %v\n%+v", err, e)
			}
			if after, _ := os.ReadFile(x.known.Path()); !bytes.Equal(before, after) {
				t.Errorf("known_agents has become\n%s", after)
			}
		})
	}
}

// TestReplayedAnswer: a valid answer for one job is invalid for another, even to the same
// offer.
func TestReplayedAnswer(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
	var first []byte
	unsealed := func(c []api.Candidate) []api.Candidate { c[0].Sealing = nil; return c }
	b.Set(func(s *fakefarm.Settings) {
		s.Candidates = unsealed
		s.Answer = func(_ string, _, answer []byte) []byte {
			if first == nil {
				first = answer
			}
			return first
		}
	})
	x := newTry(t, b)
	x.job.AllowUnsealed = true
	if _, err := Run(t.Context(), x.job); err != nil {
		t.Fatal(err)
	}
	b.Set(func(s *fakefarm.Settings) { s.Agent = untouched(t) })
	if _, err := Run(t.Context(), x.job); cli.Code(err) != cli.Verification || !strings.Contains(err.Error(), "was changed on its way") {
		t.Errorf("got %v", err)
	}
}

// TestBrokerSeesNothing reads all that goes through the broker.
func TestBrokerSeesNothing(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
	var answer []byte
	b.Set(func(s *fakefarm.Settings) {
		s.Answer = func(_ string, _, a []byte) []byte { answer = a; return a }
	})
	if _, err := Run(t.Context(), newTry(t, b).job); err != nil {
		t.Fatal(err)
	}
	for _, body := range append(b.Offers(), answer) {
		if !envelope.Sealed(body) || bytes.Contains(body, []byte("127.0.0.1")) || bytes.Contains(body, []byte("v=0")) {
			t.Errorf("the broker sees %.200q", body)
		}
	}
}

// TestTrustOnFirstUse: the first meeting causes one notice; the key stays.
func TestTrustOnFirstUse(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
	x := newTry(t, b)
	told := func() (n int) {
		for _, e := range x.events {
			if notice, ok := e.(Notice); ok && notice.Code == NoticeNewAgent {
				n++
				if !strings.Contains(notice.Message, b.Key.Fingerprint()) || !strings.Contains(notice.Message, x.known.Path()) {
					t.Errorf("the notice is %q", notice.Message)
				}
			}
		}
		return n
	}
	for range 2 {
		if _, err := Run(t.Context(), x.job); err != nil || told() != 1 {
			t.Fatalf("%d notices, %v", told(), err)
		}
	}
	known, err := x.known.List()
	if err != nil || len(known) != 1 || known[0].Principal != x.job.Trust.Principal(fakefarm.Name) {
		t.Errorf("%+v, %v", known, err)
	}
	x.job.Trust.Strict = true
	if _, err := Run(t.Context(), x.job); err != nil {
		t.Errorf("a known agent is refused with --strict-agents: %v", err)
	}
}

// TestUnsealedIfAllowed: an agent without a sealing key gets the job, with a notice to the
// user.
func TestUnsealedIfAllowed(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
	b.Set(func(s *fakefarm.Settings) {
		s.Candidates = func(c []api.Candidate) []api.Candidate { c[0].Sealing = nil; return c }
	})
	x := newTry(t, b)
	x.job.AllowUnsealed = true
	got, err := Run(t.Context(), x.job)
	if err != nil || got.Agent.Fingerprint != b.Key.Fingerprint() {
		t.Fatalf("%+v, %v", got, err)
	}
	if !slices.ContainsFunc(x.events, func(e Event) bool { n, ok := e.(Notice); return ok && n.Code == NoticeUnsealed }) {
		t.Error("the user got no notice")
	}
}
