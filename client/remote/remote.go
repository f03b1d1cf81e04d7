package remote

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/signaling"
)

const (
	// connectTimeout bounds the time from an agent's answer to a connection.
	connectTimeout = 20 * time.Second
	// cancelTimeout is how long a canceled agent may take to send its result.
	cancelTimeout = 5 * time.Second
	// resultTimeout is how long an agent that closed a channel may take to say
	// why.
	resultTimeout = 2 * time.Second
	// lastWords is how long what arrived before the connection ended may take
	// to be read.
	lastWords = 250 * time.Millisecond
	// overtime is how much longer than the job's time limit, which the agent
	// enforces, the client waits for it to say so.
	overtime = 30 * time.Second
)

// Job is what to build and how to go about it.
type Job struct {
	Broker *signaling.Client
	// As is who the broker was told that asks, for messages; empty is nobody in
	// particular.
	As string
	// Trust judges the agents. It must not be nil: nothing is sent to an agent
	// that nobody has judged.
	Trust *trust.Agents
	// AllowUnsealed lets the broker read the offer when an agent has no key to
	// seal it to. Answers are signed all the same.
	AllowUnsealed bool
	// Need is what is asked of the broker. The certificate's fingerprint and
	// the channels are filled in.
	Need api.GrantRequest
	// Build is what is asked of the agent.
	Build channel.Build
	// CacheKey returns what the agent of this fingerprint may keep what speeds up
	// the next build under; nil: it may keep nothing. See channel.Build.
	CacheKey func(agent string) string
	// Source is what goes up, and Open opens a file of it. Both are nil when
	// the agent is to fetch Build.Source.
	Source *channel.Manifest
	Open   func(channel.File) (io.ReadCloser, error)
	// Sink is where the artifacts go.
	Sink channel.Sink
	// Accept judges what has arrived, and keeps it. Its error is Run's, and the
	// broker hears of it: what fails verification is the agent's failure. Nil takes
	// all that is intact.
	Accept func(*Outcome) error
	// KeepLocal tells the agent this machine's local addresses also where the
	// two do not seem to share a network.
	KeepLocal bool
	// Patience is how long to wait for an agent to take the job; 0 is for ever.
	Patience time.Duration
	// Events is told what happens, by one goroutine at a time, and not after
	// Run has returned. It should not block. Nil is fine.
	Events func(Event)
	// Logger gets what helps to find faults. Nil discards it.
	Logger *slog.Logger
}

// Outcome is a job that has succeeded.
type Outcome struct {
	JobID   string
	Agent   Agent
	Relayed bool
	Result  *channel.Result
	// Received lists the artifacts; it is nil when there are none.
	Received *channel.Manifest
	// Sent tells what of the project went up.
	Sent channel.Transferred
	// Up and Down are the bytes of all messages.
	Up, Down int64
	// Setup is the time from the start of Run to that of the build command on
	// the agent, as far as this end can tell; Total is until the end.
	Setup, Total time.Duration
}

// Run does the job and tells the broker how it ended. It returns when the job is
// over, however it ended; see the package's comment. Canceling ctx cancels the
// build on the agent.
func Run(ctx context.Context, job Job) (*Outcome, error) {
	if job.Logger == nil {
		job.Logger = slog.New(slog.DiscardHandler)
	}
	w := &witness{job: &job}
	outcome, err := perform(ctx, &job, w)
	w.confirm(ctx, err)
	return outcome, err
}

// perform does the job. The outcome is nil if there is an error.
func perform(ctx context.Context, job *Job, w *witness) (*Outcome, error) {
	start := time.Now()
	events := &teller{tell: job.Events}
	conn, outcome, err := connect(ctx, job, events, w)
	if err != nil {
		return nil, err
	}
	outcome.Relayed = conn.Relayed()
	events.event(Connected{Agent: outcome.Agent, Relayed: outcome.Relayed, After: time.Since(start)})
	r := &running{job: job, conn: conn, events: events, outcome: outcome, witness: w, start: start}
	err = r.drive(ctx)
	outcome.Up, outcome.Down = conn.Traffic()
	if closeErr := conn.Close(); closeErr != nil {
		job.Logger.Debug("close the connection", "error", closeErr)
	}
	if err == nil && job.Accept != nil {
		err = job.Accept(outcome)
	}
	if err != nil {
		return nil, err
	}
	outcome.Total = time.Since(start)
	return outcome, nil
}

// labels are the channels that a job needs.
func (j *Job) labels() []string {
	if j.Source == nil {
		return []string{channel.LabelControl, channel.LabelFirmware}
	}
	return []string{channel.LabelControl, channel.LabelSource, channel.LabelFirmware}
}
