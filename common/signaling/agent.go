package signaling

import (
	"context"
	"net/http"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// Polled is the result of a poll.
type Polled struct {
	// Job is the offer to answer; nil if the wait ended without one.
	Job *api.Job
	// Session is a fresh token to use from now on, for api.SessionLife; empty
	// while the poll's own token is young.
	Session string
}

// Poll waits for a job.
func (c *Client) Poll(ctx context.Context, session string, status *api.Status) (Polled, error) {
	var job api.Job
	resp, err := c.call(ctx, api.PathAgentPoll, session, true, status, &job)
	if err != nil {
		return Polled{}, err
	}
	p := Polled{Session: resp.header.Get(api.SessionHeader)}
	if resp.status != http.StatusNoContent {
		p.Job = &job
	}
	return p, nil
}

// Answer sends the agent's answer to a job.
func (c *Client) Answer(ctx context.Context, session, jobID string, answer []byte) error {
	_, err := c.do(ctx, request{
		method: http.MethodPost, path: forJob(api.PathAnswer, jobID), token: session,
		contentType: api.TypeOpaque, body: answer,
	})
	return err
}

// Report sends the signed report on a job's end.
func (c *Client) Report(ctx context.Context, session string, report *api.Report) error {
	_, err := c.call(ctx, api.PathAgentReport, session, false, report, nil)
	return err
}

// JWKS fetches the keys that the broker signs grants with, and their rotations.
func (c *Client) JWKS(ctx context.Context) (*grant.Published, error) {
	resp, err := c.do(ctx, request{method: http.MethodGet, path: api.PathJWKS})
	if err != nil {
		return nil, err
	}
	keys, err := grant.ParsePublished(resp.body)
	if err != nil {
		return nil, c.unexpected("key set", err)
	}
	return keys, nil
}
