package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/peer"
	"github.com/farforge/farforge/proxy-agent/build"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

// ErrReplay is wrapped by the error for a grant whose job was served before.
var ErrReplay = errors.New("the grant was used before")

// Config is what all sessions of an agent share.
type Config struct {
	Agent      string        // the agent's own fingerprint, "SHA256:…"
	Broker     string        // the broker's origin, which must be a grant's issuer
	Keys       *grant.KeySet // that the broker signs grants with
	Catalog    *build.Catalog
	Sandbox    sandbox.Sandbox
	Workspaces *build.Workspaces
	// Loopback is for a broker and clients on this very machine; see peer.Config.
	Loopback bool
	Logger   *slog.Logger
}

// Host makes sessions. It is safe for concurrent use.
type Host struct {
	Config
	used once
}

// NewHost returns a host.
func NewHost(cfg Config) *Host {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Host{Config: cfg}
}

// Admit checks whether a job that the broker handed over may be served, without
// using up its grant.
func (h *Host) Admit(job *api.Job) (*grant.Grant, error) {
	g, err := h.Keys.Verify(job.Grant, time.Now(), grant.Leeway)
	if err != nil {
		return nil, err
	}
	if g.JobID != job.JobID {
		return nil, fmt.Errorf("the grant is for job %s and came with job %s", g.JobID, job.JobID)
	}
	if g.Issuer != h.Broker {
		return nil, fmt.Errorf("the grant was issued by %s and came from %s", g.Issuer, h.Broker)
	}
	if err := g.CheckAudience(h.Agent); err != nil {
		return nil, err
	}
	fingerprint, err := peer.OfferFingerprint(job.Offer)
	if err != nil {
		return nil, err
	}
	if err := g.CheckFingerprint(fingerprint); err != nil {
		return nil, err
	}
	return g, nil
}

// Answer uses up an admitted grant and makes the answer to the job's offer. The
// session must be ended with Serve or Close.
func (h *Host) Answer(ctx context.Context, job *api.Job, g *grant.Grant) (*Session, []byte, error) {
	if !h.used.take(g.JobID, time.Now(), g.ExpiresAt.Add(2*grant.Leeway)) {
		return nil, nil, fmt.Errorf("%w, for job %s", ErrReplay, g.JobID)
	}
	s := &Session{
		host: h, grant: g, began: time.Now(),
		log:     h.Logger.With("job", g.JobID),
		refused: make(chan string, 8),
		limits:  newLimits(g),
	}
	config := peer.Config{ICEServers: job.ICEServers, Loopback: h.Loopback, Logger: s.log}
	conn, answer, err := peer.NewAnswer(ctx, config, job.Offer, s.allow)
	if err != nil {
		return nil, nil, err
	}
	s.conn = conn
	return s, answer, nil
}
