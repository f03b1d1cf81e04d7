package remote

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

// said checks the outcomes that the broker got.
func said(t *testing.T, b *fakefarm.Broker, want ...api.Outcome) {
	t.Helper()
	var got []api.Outcome
	for _, word := range b.Words() {
		got = append(got, word.Outcome)
	}
	want = slices.DeleteFunc(want, func(o api.Outcome) bool { return o == "" })
	if !slices.Equal(got, want) {
		t.Errorf("the broker got the confirmations %q, want %q", got, want)
	}
}

// TestAcceptDecidesTheOutcome: the caller judges the artifacts before the client confirms
// the job to the broker.
func TestAcceptDecidesTheOutcome(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		accept error
		says   api.Outcome
	}{
		{"accepted", nil, api.OutcomeSucceeded},
		{"not what was signed", cli.Failf(cli.Verification, "the signature is wrong"), api.OutcomeAgentFailed},
		{"no room here", cli.Failf(cli.Usage, "the disk is full"), api.OutcomeCanceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
			x := newTry(t, b)
			var judged *Outcome
			x.job.Accept = func(o *Outcome) error {
				if judged = o; len(b.Words()) > 0 {
					t.Error("the broker got a confirmation before")
				}
				return tt.accept
			}
			got, err := Run(t.Context(), x.job)
			if !errors.Is(err, tt.accept) || (err == nil) != (got != nil) {
				t.Fatalf("%+v, %v", got, err)
			}
			if judged == nil || judged.Result == nil || len(judged.Received.Files) != 5 || judged.JobID == "" {
				t.Errorf("the caller judged %+v", judged)
			}
			said(t, b, tt.says)
		})
	}
}

// TestUntrustedIsNotAFailure: a client that knows another agent by this name does not
// report a failure of the agent; a wrong certificate is one.
func TestUntrustedIsNotAFailure(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*fakefarm.Settings, *try)
		says   api.Outcome
	}{
		{"the name is another's", func(s *fakefarm.Settings, x *try) {
			x.job.AllowUnsealed = true
			s.Candidates = func(c []api.Candidate) []api.Candidate { c[0].Sealing, c[0].PublicKey = nil, ""; return c }
			if err := x.known.Trust(x.job.Trust.Principal(fakefarm.Name), fakefarm.NewKey(t).Public()); err != nil {
				t.Fatal(err)
			}
		}, api.OutcomeCanceled},
		{"another certificate", func(s *fakefarm.Settings, _ *try) {
			s.Promise = func(fp string) string { return strings.Repeat("0", 2) + fp[2:] }
		}, api.OutcomeAgentFailed},
		{"the answer has no valid signature", func(s *fakefarm.Settings, _ *try) {
			s.AnswersAs = fakefarm.NewKey(t)
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := fakefarm.New(t, nil)
			x := newTry(t, b)
			b.Set(func(s *fakefarm.Settings) { tt.change(s, x) })
			if _, err := Run(t.Context(), x.job); cli.Code(err) != cli.Verification {
				t.Fatalf("got %v", err)
			}
			said(t, b, tt.says)
		})
	}
}

// TestErrorsAsOutcomes checks the outcomes that would take long to reach.
func TestErrorsAsOutcomes(t *testing.T) {
	agent := Agent{Name: "bench"}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		err  error
		want api.Outcome
	}{
		{connectError(t.Context(), agent, context.DeadlineExceeded), api.OutcomeLost},
		{connectError(canceled, agent, context.Canceled), api.OutcomeCanceled},
		{lostError(agent, errors.New("it did not end the job at its time limit")), api.OutcomeLost},
		{errors.New("something here"), api.OutcomeCanceled},
	} {
		if got := outcomeOf(tt.err); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.err, got, tt.want)
		}
	}
}

// TestDeafBroker: a broker that does not take confirmations neither fails nor delays a
// build.
func TestDeafBroker(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
	b.Set(func(s *fakefarm.Settings) { s.Deaf = true })
	x := newTry(t, b)
	began, accepted := time.Now(), time.Time{}
	x.job.Accept = func(*Outcome) error { accepted = time.Now(); return nil }
	got, err := Run(t.Context(), x.job)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(accepted); took > confirmTimeout+time.Second {
		t.Errorf("the job ended %v after it was done", took)
	}
	if most := accepted.Sub(began) + confirmTimeout/2; got.Total > most {
		t.Errorf("the job reports a time of %v, and was done after %v", got.Total, most)
	}
	said(t, b, api.OutcomeSucceeded)
}
