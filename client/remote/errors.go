package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/peer"
	"github.com/farforge/farforge/common/signaling"
)

// queueTimeoutError returns the error for a job that no agent took in time.
func (i *introduction) queueTimeoutError(err error) error {
	var u *signaling.Unreachable
	if errors.As(err, &u) {
		return unreachableError(u)
	}
	if !i.answered {
		return cli.Failf(cli.Broker, "the broker at %s did not answer within %v", i.job.Broker.Origin(), i.job.QueueTimeout).
			Hint("check that the URL is the broker's: the server accepts connections and sends no response", "run client doctor with the same flags")
	}
	e := cli.Failf(cli.NoAgent, "no agent took the job within %v", i.job.QueueTimeout)
	if place := i.waiting.String(); place != "" {
		if i.waiting.Estimate > 0 {
			place += " from its start"
		}
		e.Hint("all able agents are busy; the job was " + place)
	}
	return e.Hint("wait longer with --queue-timeout")
}

// unreachableError names the cause that client doctor would name.
func unreachableError(u *signaling.Unreachable) *cli.Error {
	return cli.Fail(cli.Broker, u, u.Hints...).Hint("client doctor, with the same flags, tries each step")
}

// withKind adds the project's kind to the error for a farm without a recipe for it.
func (i *introduction) withKind(err error) error {
	if i.need.Kind == "" || cli.ErrorCode(err) != string(api.CodeNoRecipe) {
		return err
	}
	kind := project.Kind(i.need.Kind)
	return cli.Failf(cli.NoAgent, "this is a project for %s; %w", kind.Title(), err).
		Hint("use --recipe to name a recipe that can build it nevertheless")
}

func canceledError(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cli.Failf(cli.Interrupted, "the job was canceled: %w", cause)
	}
	return cli.Failf(cli.Interrupted, "the job was canceled")
}

// connectError returns the error for a failed connection to an agent that answered.
func connectError(ctx context.Context, agent Agent, err error) error {
	if ctx.Err() != nil {
		return canceledError(ctx)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("it took longer than %v", connectTimeout)
	}
	return cli.Failf(cli.LostAgent, "cannot connect to %s: %w", agent, err).
		Hint("a firewall on either side may block UDP", "the broker offers a relay if its operator has set one up")
}

// lostError returns the error for an agent that went away.
func lostError(agent Agent, err error) error {
	return cli.Failf(cli.LostAgent, "lost %s in the middle of the job: %w", agent, err).
		Hint("run the command again; the broker then chooses among the agents that are online")
}

// refusedError returns the error for an agent that does not open a channel of the
// grant.
func refusedError(agent Agent, p *channel.Problem) error {
	return cli.Failf(cli.NoAgent, "%s refuses the job: %s", agent, p.Message).Hint(p.Hints...).WithCode(string(p.Code))
}

// resultError returns the error for a job whose result is not a success.
func resultError(agent Agent, result *channel.Result) error {
	p := result.Problem
	if p == nil {
		p = &channel.Problem{Message: fmt.Sprintf("%s gives no reason; the job ended as %q", agent, result.Outcome)}
	}
	exit := cli.LostAgent
	switch p.Code {
	case channel.ProblemBuildFailed, channel.ProblemNoArtifacts, channel.ProblemTimeLimit:
		exit = cli.BuildFailed
	case channel.ProblemNoRecipe, channel.ProblemUngranted:
		exit = cli.NoAgent
	case channel.ProblemManifest, channel.ProblemSizeLimit, channel.ProblemSource:
		exit = cli.Usage
	case channel.ProblemContent:
		exit = cli.Verification
	case "":
		switch result.Outcome {
		case api.OutcomeBuildFailed, api.OutcomeTimedOut:
			exit = cli.BuildFailed
		case api.OutcomeRefused:
			exit = cli.NoAgent
		}
	}
	text := p.Message
	if exit == cli.LostAgent && p.Code != "" {
		text = fmt.Sprintf("%s gave up: %s", agent, p.Message)
	}
	return cli.Fail(exit, errors.New(text), p.Hints...).WithCode(string(p.Code))
}

// closedError marks the errors of a channel that the agent closed. The agent's result
// can still arrive and has the reason.
type closedError struct{ err error }

func (c *closedError) Error() string { return c.err.Error() }
func (c *closedError) Unwrap() error { return c.err }

func isClosing(err error) bool {
	var c *closedError
	return errors.As(err, &c)
}

// uploadError returns the error for a tree that could not be sent.
func uploadError(agent Agent, err error) error {
	var p *channel.Problem
	var changed *channel.ChangedError
	switch {
	case errors.As(err, &changed):
		return cli.Fail(cli.Usage, changed).Hint("run the command again",
			fmt.Sprintf("if a program keeps writing to it, and the build does not need it, leave it out:  echo '/%s' >> %s", strings.ReplaceAll(changed.Path, "'", `'\''`), project.IgnoreName))
	case closedByAgent(err):
		return lostError(agent, &closedError{fmt.Errorf("it closed the channel of the source files: %w", err)})
	case errors.As(err, &p):
		return lostError(agent, err)
	default:
		return cli.Failf(cli.Usage, "cannot send the project: %w", err)
	}
}

// downloadError returns the error for artifacts that are wrong or did not arrive.
func downloadError(agent Agent, err error) error {
	var p *channel.Problem
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &p):
		return cli.Failf(cli.Verification, "the artifacts of %s are refused: %w", agent, err).
			Hint("the artifacts of the last good build are still there")
	case errors.As(err, &path), errors.As(err, &link):
		return cli.Failf(cli.Usage, "cannot store the artifacts: %w", err)
	case closedByAgent(err):
		return lostError(agent, &closedError{fmt.Errorf("it closed the channel of the artifacts: %w", err)})
	default:
		return lostError(agent, err)
	}
}

func closedByAgent(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, peer.ErrLost)
}
