package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/peer"
	"github.com/farforge/farforge/proxy-agent/build"
	"github.com/farforge/farforge/proxy-agent/sandbox"
	"github.com/farforge/farforge/proxy-agent/source"
)

// Config is what all sessions of an agent share.
type Config struct {
	Key     *identity.Key // the agent's own; it signs answers and provenance
	Sealing *envelope.Key // opens sealed offers
	// RequireSealed refuses offers that a broker could read.
	RequireSealed bool

	Broker string        // the broker's origin, the only accepted issuer of grants
	Keys   *grant.KeySet // the broker's keys for grants
	// Refetch returns the broker's present keys, so that the agent follows a
	// rotation. Nil: they never change.
	Refetch func(context.Context) (*grant.KeySet, error)
	// Clock is the broker's; nil stands for this machine's.
	Clock Clock
	// UsedGrants is the file that remembers used grants over a restart. Empty:
	// they are remembered only until the agent ends.
	UsedGrants string

	// Sources fetches projects that clients name instead of uploading; nil
	// disables that.
	Sources *source.Fetcher

	// Catalog returns the recipes that work here; it may change between jobs.
	Catalog    func() *build.Catalog
	Sandbox    sandbox.Sandbox
	Workspaces *build.Workspaces
	Disk       build.Disk // what a job may use
	// Caches are what recipes keep for a project's next build; nil keeps none.
	Caches  *build.Caches
	Version string // of this program, for the provenance
	// Loopback is for a broker and clients on this very machine; see peer.Config.
	Loopback bool
	// KeepLocal puts the agent's local addresses into answers even if the two
	// do not seem to share a network.
	KeepLocal bool
	// PlainDTLS is for peer.Config.
	PlainDTLS bool
	Logger    *slog.Logger
}

// Register defines the flags and their defaults.
func (c *Config) Register(f *pflag.FlagSet) {
	f.BoolVar(&c.RequireSealed, "require-sealed", false, "refuse offers that the broker could read")
	f.BoolVar(&c.KeepLocal, "keep-local-addresses", false, "put local addresses into answers, even for clients in other networks")
	peer.RegisterDTLS(f, &c.PlainDTLS)
}

// Host makes sessions. It is safe for concurrent use.
type Host struct {
	Config
	trust     trust
	used      *once
	warnSkew  sync.Once
	farewells farewells
}

// NewHost returns a host. An error concerns the file of used grants.
func NewHost(cfg Config) (*Host, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = localClock{}
	}
	used, err := openOnce(cfg.UsedGrants)
	if err != nil {
		return nil, err
	}
	if cfg.Sources == nil {
		if cfg.Sources, err = source.New(source.Config{}); err != nil {
			return nil, err
		}
	}
	h := &Host{Config: cfg, used: used, farewells: defaultFarewells()}
	h.trust.refetch = cfg.Refetch
	h.trust.keys.Store(cfg.Keys)
	h.checkClock()
	return h, nil
}

// Answer uses up an admitted grant and makes the answer to the job's offer:
// signed, and sealed if the offer was. The caller must close the session.
func (h *Host) Answer(ctx context.Context, a *Admitted) (*Session, []byte, error) {
	g := a.Grant
	if err := h.used.take(g.JobID, h.Clock.Now(), g.ExpiresAt.Add(2*leeway)); err != nil {
		return nil, nil, err
	}
	// The answer is signed over the certificate that DTLS will present.
	cert, err := peer.NewCertificate()
	if err != nil {
		return nil, nil, err
	}
	s := &Session{
		host: h, grant: g, began: time.Now(), offer: a.offer, trickles: peer.Description(a.offer.SDP).Trickles(),
		log:     h.Logger.With("job", g.JobID),
		refused: make(chan string, 8),
		limits:  newLimits(g),
	}
	config := peer.Config{Certificate: cert, ICEServers: a.ice, Loopback: h.Loopback, Trickle: true, PlainDTLS: h.PlainDTLS, Logger: s.log}
	config.HideLocal = !h.Loopback && !a.near && !h.KeepLocal
	conn, answer, err := peer.NewAnswer(ctx, config, peer.Description(a.offer.SDP), s.allow)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := a.offer.SealAnswer(h.Key, g.JobID, string(answer), cert.Fingerprint())
	if err != nil {
		return nil, nil, fmt.Errorf("answer job %s: %w", g.JobID, errors.Join(err, conn.Close()))
	}
	s.conn = conn
	return s, sealed, nil
}
