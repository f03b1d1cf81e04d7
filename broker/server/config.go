package server

import (
	"errors"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/farforge/farforge/broker/jobs"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/common/api"
)

// Config configures a [Server]: its jobs and its HTTP API.
// Fields without a default must be set.
type Config struct {
	// Config is that of the jobs. Its Secret also authenticates challenges and
	// sessions.
	jobs.Config

	// Addresses limits the networks of requests that cost something before their
	// sender is authenticated. Nil means no limit.
	Addresses *quota.Addresses
	// Services lets operators administer the broker over HTTP. Nil serves no such
	// paths.
	Services *Services
	// STUN are the URLs of servers that peers probe their NATs with.
	STUN []string
	// MoreMetrics are served beside the server's own.
	MoreMetrics prometheus.Gatherers
	// MaxWait bounds a blocked request. Default and most: api.MaxWait.
	MaxWait time.Duration

	// TrustedProxies are the networks of the proxies whose X-Forwarded-For is
	// used. Default: none.
	TrustedProxies []netip.Prefix
	// AllowedOrigins are the origins whose pages may use the paths that a browser
	// needs for a job, or AnyOrigin. Default: none.
	AllowedOrigins []string
	// ExactMetrics reports exact counts. Otherwise counts that could single out a
	// user are rounded.
	ExactMetrics bool
	// HideMetrics leaves /metrics out of Handler; Metrics still serves it.
	HideMetrics bool
	// UnsafeLogging logs peers' addresses.
	UnsafeLogging bool
	// Version is in the response of /health.
	Version string
}

// setDefaults fills in the fields that are not set, including those of the jobs.
func (c *Config) setDefaults() error {
	if c.Services != nil && len(c.Services.Token) < 32 {
		return errors.New("broker server: the admin token is shorter than 32 bytes")
	}
	if c.MaxWait <= 0 || c.MaxWait > api.MaxWait {
		c.MaxWait = api.MaxWait
	}
	return c.Config.SetDefaults()
}
