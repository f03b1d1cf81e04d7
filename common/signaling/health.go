package signaling

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/nat"
)

// Health fetches the broker's state.
func (c *Client) Health(ctx context.Context) (*api.Health, error) {
	resp, err := c.do(ctx, request{method: http.MethodGet, path: api.PathHealth})
	if err != nil {
		return nil, err
	}
	var health api.Health
	if err := json.Unmarshal(resp.body, &health); err != nil {
		return nil, c.unexpected("health", err)
	}
	return &health, nil
}

// ProbeNAT probes this machine's NAT with the broker's STUN server and returns
// its text form, or an empty one if the broker has no such server. It takes up to
// three seconds.
func (c *Client) ProbeNAT(ctx context.Context) (string, error) {
	health, err := c.Health(ctx)
	if err != nil {
		return "", err
	}
	for _, u := range health.STUN {
		server, ok := strings.CutPrefix(u, "stun:")
		if !ok {
			continue
		}
		kind, err := nat.Probe(ctx, server)
		return kind.String(), err
	}
	return "", nil
}
