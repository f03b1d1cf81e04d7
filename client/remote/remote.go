// Package remote is the client's end of one job, from the grant to the
// artifacts.
//
//	Run
//	 │  certificate ─▶ grant: candidates           introduced by the broker
//	 │  candidates' keys against known_agents
//	 │  sealed offer ─▶ … signed answer            which the broker cannot read
//	 │  connected: DTLS certificate as signed      from here on, peer to peer
//	 ├─▶ espctl    build ▶   ◀ stage, log, problem, result
//	 ├─▶ source    the project's files ▶           at the same time
//	 ├─▶ firmware  ◀ the artifacts                 when they are built
//	 └─▶ accepted or refused ─▶ confirmation       to the broker
//
// The client sends build at once and the tree beside it, so that the agent can prepare;
// the agent starts the command when it has the files.
//
// # How it ends
//
//	the agent's result             success, or the error that it names
//	the caller's context           cancel ▶, then the result or a few seconds
//	an error on this side          the same, and the error is this side's
//	the connection breaks          noticed within seconds: the agent is lost
//
// A job whose agent is lost is done once more on another agent. Once an agent has
// answered, the broker gets each end in a single request of at most two seconds.
//
// Every error is a [cli.Error] with an exit code and hints. When Run returns, the
// connection is closed and no goroutine of the job runs.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/signaling"
)

const (
	// connectTimeout bounds the time from an agent's answer to a connection.
	connectTimeout = 20 * time.Second
	// cancelTimeout bounds the time in which a canceled agent sends its result.
	cancelTimeout = 5 * time.Second
	// resultTimeout bounds the time in which an agent that closed a channel sends
	// its result, which has the reason.
	resultTimeout = 2 * time.Second
	// drainTimeout bounds the time in which the client reads the messages that
	// arrived before the connection ended.
	drainTimeout = 250 * time.Millisecond
	// overtime is the time that the client waits for a result after the job's time
	// limit, which the agent enforces.
	overtime = 30 * time.Second
	// secondTimeout bounds the time until the broker grants a second attempt.
	secondTimeout = 10 * time.Second
)

// Job is one build, as the user wants it.
type Job struct {
	Broker *signaling.Client
	// As names the identity shown to the broker, for messages; empty: none was shown.
	As string
	// Trust judges the agents. It must not be nil: the client sends nothing to an
	// agent before that.
	Trust *trust.Agents
	// AllowUnsealed lets the broker read the offer when an agent has no key to
	// seal it to. Answers are still signed.
	AllowUnsealed bool
	// Need is the request to the broker. Run adds the certificate's fingerprint and
	// the channels.
	Need api.GrantRequest
	// Build is the request to the agent.
	Build channel.Build
	// CacheKey returns the cache key for the agent of this fingerprint; nil disables
	// caching. See channel.Build.
	CacheKey func(agent string) string
	// Source is the tree to send, and Open opens a file of it. Both are nil when
	// the agent fetches Build.Source.
	Source *channel.Manifest
	Open   func(channel.File) (io.ReadCloser, error)
	// Sink returns an empty place for the artifacts. Run calls it once for each agent.
	Sink func() (channel.Sink, error)
	// Accept verifies and keeps the artifacts. Run returns its error and reports it to
	// the broker: artifacts that fail verification are the agent's failure. Nil accepts
	// all artifacts that are intact.
	Accept func(*Outcome) error
	// KeepLocal sends this machine's local addresses also to an agent that does not
	// seem to be in the same network.
	KeepLocal bool
	// PlainDTLS is for peer.Config.
	PlainDTLS bool
	// QueueTimeout bounds the time until an agent takes the job; 0 waits forever.
	QueueTimeout time.Duration
	// Events gets the job's events, one at a time, and none after Run has returned.
	// It should not block. Nil discards them.
	Events func(Event)
	// Logger gets details for finding faults. Nil discards them.
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
	// Sent counts the files and bytes of the project that were sent.
	Sent channel.Transferred
	// Up and Down are the bytes of all messages.
	Up, Down int64
	// Setup is the time from the start of Run until the client learned that the build
	// command runs on the agent; Total is the time until the end.
	Setup, Total time.Duration
}

// Run does the job and confirms its outcome to the broker. If the agent is lost or fails,
// Run requests another agent once. It returns when the job has ended; the package comment
// lists the ways in which it ends. Canceling ctx cancels the build on the agent.
func Run(ctx context.Context, job Job) (*Outcome, error) {
	if job.Logger == nil {
		job.Logger = slog.New(slog.DiscardHandler)
	}
	events := &emitter{emit: job.Events}
	start := time.Now()
	outcome, lost, err := attempt(ctx, &job, events, start)
	if err == nil || lost == "" || cli.Code(err) != cli.LostAgent || ctx.Err() != nil {
		return outcome, err
	}
	events.event(Notice{channel.Problem{Code: NoticeSecondTry, Message: err.Error() + "; asking the broker for another agent"}})
	job.Need.ExcludeAgents = append(slices.Clone(job.Need.ExcludeAgents), lost)
	outcome, second := secondAttempt(ctx, &job, start)
	if second == nil {
		return outcome, nil
	}
	code := cli.Code(second)
	if code == cli.NoAgent || code == cli.Broker || cli.ErrorCode(second) == codeUnwanted || errors.Is(second, errNoGrant) {
		return nil, cli.Fail(cli.LostAgent, err, fmt.Sprintf("a second try on another agent was not possible: %v", second))
	}
	return nil, second
}

// secondAttempt is attempt for a job whose agent was lost. It ends if the broker does
// not grant the job soon, because the network may be the reason for the loss.
func secondAttempt(ctx context.Context, job *Job, start time.Time) (*Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	noGrant := time.AfterFunc(secondTimeout, func() { cancel(errNoGrant) })
	defer noGrant.Stop()
	events := &emitter{emit: func(e Event) {
		if _, ok := e.(Granted); ok {
			noGrant.Stop()
		}
		if job.Events != nil {
			job.Events(e)
		}
	}}
	outcome, _, err := attempt(ctx, job, events, start)
	return outcome, err
}

// errNoGrant is the cause for the end of a second attempt without a grant.
var errNoGrant = errors.New("the broker has not answered in time")

// attempt does the job on one agent, and returns the fingerprint of the agent that
// answered, if one has. The outcome is nil if there is an error.
func attempt(ctx context.Context, job *Job, events *emitter, start time.Time) (outcome *Outcome, agent string, err error) {
	w := &confirmer{job: job}
	outcome, err = perform(ctx, job, events, w, start)
	w.confirm(ctx, err)
	return outcome, w.what.agent, err
}

func perform(ctx context.Context, job *Job, events *emitter, w *confirmer, start time.Time) (*Outcome, error) {
	conn, outcome, err := connect(ctx, job, events, w)
	if err != nil {
		return nil, err
	}
	outcome.Relayed = conn.Relayed()
	events.event(Connected{Agent: outcome.Agent, Relayed: outcome.Relayed, After: time.Since(start)})
	r := &running{job: job, conn: conn, events: events, outcome: outcome, confirmer: w, start: start}
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
