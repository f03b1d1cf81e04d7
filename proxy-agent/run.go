package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
	"github.com/farforge/farforge/proxy-agent/build"
	"github.com/farforge/farforge/proxy-agent/sandbox"
	"github.com/farforge/farforge/proxy-agent/session"
	"github.com/farforge/farforge/proxy-agent/source"
	"github.com/farforge/farforge/proxy-agent/worker"
)

// parts are what an agent is made of.
type parts struct {
	log        *slog.Logger
	key        *identity.Key
	sealing    *envelope.Key
	sources    *source.Fetcher
	sandbox    sandbox.Sandbox
	catalog    *build.Catalog
	workspaces *build.Workspaces
	caches     *build.Caches
	broker     *signaling.Client
}

// run is the agent's life: look at the machine, then work.
func (p program) run(cfg *Config) (err error) {
	a := &parts{log: newLogger(cfg, p.stderr)}
	if err := p.keys(cfg, a); err != nil {
		return err
	}
	if a.sources, err = cfg.sources(); err != nil {
		return usage(err)
	}
	if a.sandbox, a.catalog, err = detect(p.ctx, cfg); err != nil {
		return err
	}
	if len(a.catalog.Capabilities()) == 0 {
		return usage(errors.New("no recipe works on this machine, so the agent could build nothing"), missing(a.catalog)...)
	}
	if a.sandbox.Name() == sandboxNone {
		a.log.Warn("builds run without a sandbox: every client has all that this account has")
	}
	if a.workspaces, err = build.OpenWorkspaces(filepath.Join(cfg.StateDir, "workspaces")); err != nil {
		return usage(err)
	}
	defer a.workspaces.Close()
	limits := build.CacheLimits{Number: cfg.KeepCaches, Bytes: int64(cfg.CacheSizeMB) << 20}
	if a.caches, err = build.OpenCaches(a.workspaces, a.catalog, limits); err != nil {
		return usage(err)
	}
	// Which way works is logged once, and again when that changes.
	ways, err := signaling.NewWays(cfg.URL, cfg.Reach, nil, a.log)
	if err != nil {
		return usage(err)
	}
	a.broker, err = signaling.New(signaling.Config{URL: cfg.URL, Ways: ways, UserAgent: "farforge-proxy-agent/" + version(), Logger: a.log})
	if err != nil {
		return usage(err)
	}
	defer a.broker.Close()
	return explain(p.work(cfg, a), a.key, cfg)
}

// keys reads the agent's two keys, or makes them at its first start.
func (p program) keys(cfg *Config, a *parts) error {
	// A path that was given and does not exist is rather a typing mistake.
	key, made, err := p.openKey(cfg, cfg.ownKey)
	if err != nil {
		return err
	}
	if made {
		fmt.Fprintf(p.stdout, "proxy-agent: made a key; the operator of the broker has to list this line:\n%s\n", key.PublicLine(cfg.Name))
	}
	sealing, err := envelope.LoadOrGenerateKey(filepath.Join(cfg.StateDir, sealingName))
	if err != nil {
		return usage(err)
	}
	a.key, a.sealing = key, sealing
	return nil
}

func (p program) work(cfg *Config, a *parts) error {
	bound, err := a.sealing.Bind(a.key)
	if err != nil {
		return usage(err)
	}
	pinned := func(ctx context.Context) (*grant.KeySet, error) {
		return session.PinnedKeys(ctx, cfg.StateDir, a.broker.Origin(), a.broker.JWKS, func(ids []string) {
			a.log.Warn("the broker has new signing keys, which are not trusted", "keys", ids)
		})
	}
	return worker.New(worker.Config{
		Broker: a.broker, Key: a.key, Sealing: bound, Capabilities: a.catalog.Capabilities(), Tags: cfg.Tags,
		Warm:     a.caches.Warm,
		Capacity: worker.Capacity{Cores: cfg.Cores, MemoryMB: cfg.MemoryMB, Jobs: cfg.Jobs},
		Version:  version(), Logger: a.log, Keys: pinned, ProbeNAT: a.broker.ProbeNAT,
		Host: func(keys *grant.KeySet) (*session.Host, error) {
			fmt.Fprintf(p.stdout, "proxy-agent: enrolled with %s, builds for %s\n", a.broker.Origin(), abilities(a.catalog))
			return session.NewHost(session.Config{
				Key: a.key, Sealing: a.sealing, RequireSealed: cfg.RequireSealed, KeepLocal: cfg.KeepLocal,
				Broker: a.broker.Origin(), Keys: keys, Refetch: pinned, Clock: a.broker,
				UsedGrants: filepath.Join(cfg.StateDir, usedName), Sources: a.sources,
				Catalog: a.catalog, Sandbox: a.sandbox, Workspaces: a.workspaces, Caches: a.caches, Version: version(),
				Loopback: a.broker.Loopback(), Logger: a.log,
			})
		},
	}).Run(p.ctx, p.drain)
}

// explain turns what ended the work into what the operator reads.
func explain(err error, key *identity.Key, cfg *Config) error {
	var p *api.Problem
	var change *session.KeyChange
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return cli.Fail(cli.Interrupted, errors.New("stopped, and the jobs under way with it"))
	case errors.As(err, &change):
		return cli.Fail(cli.Verification, err, change.Hint())
	case errors.As(err, &p):
		hints := p.Hints
		if p.Code == api.CodeBadSignature || p.Code == api.CodeForbidden {
			hints = append(hints, "the broker's file of authorized agents must have this line:  "+key.PublicLine(cfg.Name))
		}
		return cli.Fail(cli.Broker, fmt.Errorf("the broker refused this agent: %w", err), hints...)
	}
	return err
}

// missing tells for each recipe why it does not work.
func missing(catalog *build.Catalog) []string {
	var hints []string
	for _, e := range catalog.Entries {
		hints = append(hints, e.Recipe.Name+": "+e.Missing)
	}
	return hints
}

// abilities lists what can be built, for people.
func abilities(catalog *build.Catalog) string {
	var all []string
	for _, c := range catalog.Capabilities() {
		all = append(all, fmt.Sprintf("%s with %s %s", c.Target, c.Toolchain, c.Version))
	}
	return strings.Join(all, ", ")
}

func newLogger(cfg *Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // Validate has read it
	options := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)).With("agent", cfg.Name)
	}
	return slog.New(slog.NewTextHandler(w, options)).With("agent", cfg.Name)
}
