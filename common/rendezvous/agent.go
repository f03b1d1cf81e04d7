package rendezvous

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
)

// Authenticate opens an agent's session: hello, then the signed challenge. It
// signs the origin that this client was made for, and refuses a broker that
// calls itself otherwise.
func (c *Client) Authenticate(ctx context.Context, key *identity.Key) (*api.SessionResponse, error) {
	nonce := make([]byte, api.NonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	public := key.PublicLine("")
	var hello api.HelloResponse
	if _, err := c.call(ctx, api.PathAgentHello, "", false, api.HelloRequest{PublicKey: public, Nonce: nonce}, &hello); err != nil {
		return nil, err
	}
	if hello.Origin != c.origin {
		return nil, &Unreachable{URL: c.origin, Err: fmt.Errorf("the broker there calls itself %q; use that URL, or set the broker's --origin", hello.Origin)}
	}
	challenge := identity.Challenge{Origin: c.origin, Challenge: hello.Challenge, Nonce: nonce, Fingerprint: key.Fingerprint()}
	signature, err := key.Sign(identity.NamespaceSession, challenge.SignedBytes())
	if err != nil {
		return nil, err
	}
	var session api.SessionResponse
	in := api.SessionRequest{PublicKey: public, Nonce: nonce, Challenge: hello.Challenge, Signature: signature}
	if _, err := c.call(ctx, api.PathAgentSession, "", false, in, &session); err != nil {
		return nil, err
	}
	return &session, nil
}

// Poll waits for a job. It returns nil without an error when none came.
func (c *Client) Poll(ctx context.Context, session string, status *api.Status) (*api.Job, error) {
	var job api.Job
	resp, err := c.call(ctx, api.PathAgentPoll, session, true, status, &job)
	if err != nil {
		return nil, err
	}
	if resp.status == http.StatusNoContent {
		return nil, nil
	}
	return &job, nil
}

// Answer sends the agent's answer to a job.
func (c *Client) Answer(ctx context.Context, session, jobID string, answer []byte) error {
	_, err := c.do(ctx, request{
		method: http.MethodPost, path: forJob(api.PathAnswer, jobID), token: session,
		contentType: api.TypeOpaque, body: answer,
	})
	return err
}

// Report tells how a job ended.
func (c *Client) Report(ctx context.Context, session string, report *api.Report) error {
	_, err := c.call(ctx, api.PathAgentReport, session, false, report, nil)
	return err
}

// JWKS fetches the keys that the broker signs grants with.
func (c *Client) JWKS(ctx context.Context) (*grant.KeySet, error) {
	resp, err := c.do(ctx, request{method: http.MethodGet, path: api.PathJWKS})
	if err != nil {
		return nil, err
	}
	keys, err := grant.ParseJWKS(resp.body)
	if err != nil {
		return nil, &Unreachable{URL: c.origin, Err: err}
	}
	return keys, nil
}
