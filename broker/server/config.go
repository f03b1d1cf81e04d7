package server

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/history"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// Limits are the operator's policy: the most that one grant may give.
type Limits struct {
	Channels int
	Cores    int
	MemoryMB int
	Session  time.Duration
}

// Config is what a [Server] needs. Fields without a default must be set.
type Config struct {
	// Origin is the broker's own name, such as "https://broker.example.org".
	Origin string
	// Signer signs grants; Keys verifies them (default: the signer's key). Both
	// are what to begin with; see [Server.UseKeys].
	Signer *grant.Signer
	Keys   *grant.KeySet
	// Secret authenticates challenges and sessions; at least 32 bytes.
	Secret    []byte
	Directory *directory.Directory
	// History keeps what is learned of agents over restarts. Nil: nothing is
	// kept. It belongs to the caller.
	History *history.Store
	// Users says who may ask for grants. Default: nobody.
	Users *users.Registry
	// Accounts counts what users use. Default: one without limits.
	Accounts *quota.Accounts
	// Addresses limits the networks that requests come from, where a request
	// costs something before it is known who asks. Nil: they are not limited.
	Addresses *quota.Addresses
	// Services lets operators rule over HTTP. Nil: there are no such paths.
	Services *Services
	// RequireSealed refuses offers that the broker could read.
	RequireSealed bool
	// ICEServers are handed to both peers.
	ICEServers []api.ICEServer
	// Relay makes ICE servers for each job, which come first. Nil: there are
	// none.
	Relay Relay
	// STUN are the URLs of servers that peers probe their NATs with.
	STUN []string
	// MoreMetrics are served beside the server's own.
	MoreMetrics prometheus.Gatherers

	// Limits caps grants. Defaults: api.MaxChannels, 64 cores, 128 GiB, 1 h.
	Limits Limits
	// MaxWait bounds a blocked request (default and most: api.MaxWait);
	// AnswerTimeout a claim (default: api.AnswerTimeout).
	MaxWait, AnswerTimeout time.Duration
	// AgentGrace is how long an agent counts as alive after its last poll
	// ended. Default: 20 s.
	AgentGrace time.Duration
	// MaxCandidates is how many agents may claim one job. Default: 8.
	MaxCandidates int

	// TrustedProxies are the networks of proxies whose X-Forwarded-For is
	// believed. Default: none.
	TrustedProxies []netip.Prefix
	// AllowedOrigins are those whose pages may use what a browser needs for a
	// job, or AnyOrigin. Default: none.
	AllowedOrigins []string
	// BinMetrics rounds counts that could single out a user.
	BinMetrics bool
	// HideMetrics leaves /metrics out of Handler; Metrics serves it still.
	HideMetrics bool
	// Logger gets what is worth knowing. Default: nothing is logged.
	Logger *slog.Logger
	// UnsafeLogging logs peers' addresses.
	UnsafeLogging bool
	// Version is told in /health.
	Version string
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Origin == "":
		return c, errors.New("broker server: the origin is not set")
	case c.Signer == nil:
		return c, errors.New("broker server: there is no key to sign grants with")
	case len(c.Secret) < 32:
		return c, errors.New("broker server: the secret is shorter than 32 bytes")
	case c.Services != nil && len(c.Services.Token) < 32:
		return c, errors.New("broker server: the admin token is shorter than 32 bytes")
	case c.Directory == nil:
		return c, errors.New("broker server: there is no directory of agents")
	}
	if c.Keys == nil {
		c.Keys = grant.NewKeySet(c.Signer.Public())
	}
	if c.Users == nil {
		c.Users = &users.Registry{}
	}
	if c.Accounts == nil {
		c.Accounts = quota.NewAccounts(quota.Limits{})
	}
	if c.ICEServers == nil {
		c.ICEServers = []api.ICEServer{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	orDefault(&c.Limits.Channels, api.MaxChannels)
	orDefault(&c.Limits.Cores, 64)
	orDefault(&c.Limits.MemoryMB, 128<<10)
	orDefault(&c.Limits.Session, time.Hour)
	orDefault(&c.AnswerTimeout, api.AnswerTimeout)
	orDefault(&c.AgentGrace, 20*time.Second)
	orDefault(&c.MaxCandidates, 8)
	orDefault(&c.MaxWait, api.MaxWait)
	c.MaxWait = min(c.MaxWait, api.MaxWait)
	return c, nil
}

func orDefault[T int | time.Duration](v *T, fallback T) {
	if *v <= 0 {
		*v = fallback
	}
}
