package server

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/history"
	"github.com/farforge/farforge/broker/jobs"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// Limits are the operator's policy: the most that one grant may give.
type Limits = jobs.Limits

// Config configures a [Server]. Fields without a default must be set.
type Config struct {
	// Origin is the broker's own name, such as "https://broker.example.org".
	Origin string
	// Signer signs grants; Keys verifies them (default: the signer's key). Both
	// are the first; see [Server.UseKeys].
	Signer *grant.Signer
	Keys   *grant.KeySet
	// Secret authenticates challenges and sessions; at least 32 bytes.
	Secret    []byte
	Directory *directory.Directory
	// History keeps over restarts what is learned about agents. Nil keeps
	// nothing. It belongs to the caller.
	History *history.Store
	// Users may request grants. Default: nobody.
	Users *users.Registry
	// Accounts counts what users use. Default: one without limits.
	Accounts *quota.Accounts
	// Addresses limits the networks of requests that cost something before their
	// sender is authenticated. Nil is no limit.
	Addresses *quota.Addresses
	// Services lets operators administer the broker over HTTP. Nil serves no such
	// paths.
	Services *Services
	// RequireSealed refuses offers that the broker could read.
	RequireSealed bool
	// ICEServers are for both peers of every job.
	ICEServers []api.ICEServer
	// Relay makes ICE servers for each job, which come first. Nil makes none.
	Relay jobs.Relay
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

	// TrustedProxies are the networks of the proxies whose X-Forwarded-For is
	// used. Default: none.
	TrustedProxies []netip.Prefix
	// AllowedOrigins are the origins whose pages may use what a browser needs for
	// a job, or AnyOrigin. Default: none.
	AllowedOrigins []string
	// BinMetrics rounds counts that could single out a user.
	BinMetrics bool
	// HideMetrics leaves /metrics out of Handler; Metrics still serves it.
	HideMetrics bool
	// Logger gets one line a job, and what the operator should know. Default:
	// nothing is logged.
	Logger *slog.Logger
	// UnsafeLogging logs peers' addresses.
	UnsafeLogging bool
	// Version is in the response of /health.
	Version string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
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
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	orDefault(&c.AnswerTimeout, api.AnswerTimeout)
	orDefault(&c.AgentGrace, 20*time.Second)
	orDefault(&c.Limits.Session, time.Hour)
	orDefault(&c.MaxWait, api.MaxWait)
	c.MaxWait = min(c.MaxWait, api.MaxWait)
	return c, nil
}

// jobs is the part of the configuration that the jobs have.
func (c *Config) jobs() jobs.Config {
	return jobs.Config{
		Origin: c.Origin, Signer: c.Signer, Keys: c.Keys, Secret: c.Secret,
		Directory: c.Directory, History: c.History, Users: c.Users, Accounts: c.Accounts,
		RequireSealed: c.RequireSealed, ICEServers: c.ICEServers, Relay: c.Relay,
		Limits: c.Limits, AnswerTimeout: c.AnswerTimeout, AgentGrace: c.AgentGrace, MaxCandidates: c.MaxCandidates,
		Logger: c.Logger, Now: c.Now,
	}
}

func orDefault[T int | time.Duration](v *T, fallback T) {
	if *v <= 0 {
		*v = fallback
	}
}
