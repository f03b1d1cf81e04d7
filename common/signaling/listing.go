package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/farforge/farforge/common/api"
)

const (
	// maxPages bounds a list, far above the pages of 100 000 agents.
	maxPages = 2000
	// maxRestarts is how often a list is restarted because the agent at the end of
	// a page is no longer listed.
	maxRestarts = 3
)

// Agents returns the agents that match the query, in the order of their names. It
// sends one request for each page. It sends the first request once, so that the
// caller learns at once that the broker is unreachable, and retries the others,
// which a broker may find too fast.
func (c *Client) Agents(ctx context.Context, q api.AgentQuery) ([]api.AgentInfo, error) {
	for restarts := 0; ; restarts++ {
		all, err := c.allAgents(ctx, q.Values())
		var p *api.Problem
		if !errors.As(err, &p) || p.Code != api.CodeExpired || restarts == maxRestarts {
			return all, err
		}
		c.log.Info("the agents changed while they were listed; listing them again")
	}
}

func (c *Client) allAgents(ctx context.Context, query url.Values) ([]api.AgentInfo, error) {
	var all []api.AgentInfo
	for page := range maxPages {
		var next url.Values
		ask := func() error {
			some, to, err := c.someAgents(ctx, query)
			if err == nil {
				all, next = append(all, some...), to
			}
			return err
		}
		var err error
		if page == 0 {
			err = ask()
		} else {
			err = c.insist(ctx, patienceAgents, ask)
		}
		if err != nil {
			return nil, err
		}
		if next == nil {
			return all, nil
		}
		query = next
	}
	return nil, &Unreachable{URL: c.origin, Err: fmt.Errorf("its list of agents does not end after %d pages", maxPages)}
}

// someAgents fetches one page, and returns the query of the next one, or nil.
func (c *Client) someAgents(ctx context.Context, query url.Values) ([]api.AgentInfo, url.Values, error) {
	token, err := c.userToken(ctx)
	if err != nil {
		return nil, nil, err
	}
	resp, err := c.do(ctx, request{method: http.MethodGet, path: api.PathAgents, token: token, query: query})
	if err != nil {
		return nil, nil, err
	}
	unexpected := func(err error) error {
		return c.unexpected("list of agents", err)
	}
	var some []api.AgentInfo
	if err := json.Unmarshal(resp.body, &some); err != nil {
		return nil, nil, unexpected(err)
	}
	next, err := onward(c.base, api.PathAgents, resp.header.Values("Link"))
	if err != nil {
		return nil, nil, unexpected(err)
	}
	if next != nil && next.Encode() == query.Encode() {
		return nil, nil, unexpected(errors.New("a page leads to itself"))
	}
	c.reached.Store(true)
	return some, next, nil
}

// userToken returns the user's token, or an empty one for an anonymous client.
func (c *Client) userToken(ctx context.Context) (string, error) {
	if c.token == nil {
		return "", nil
	}
	return c.token(ctx)
}
