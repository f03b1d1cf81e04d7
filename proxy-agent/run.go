package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
	"github.com/farforge/farforge/proxy-agent/build"
	"github.com/farforge/farforge/proxy-agent/operator"
	"github.com/farforge/farforge/proxy-agent/sandbox"
	"github.com/farforge/farforge/proxy-agent/session"
	"github.com/farforge/farforge/proxy-agent/source"
	"github.com/farforge/farforge/proxy-agent/worker"
)

// parts are the components of a running agent.
type parts struct {
	log        *slog.Logger
	key        *identity.Key
	sealing    *envelope.Key
	sources    *source.Fetcher
	sandbox    sandbox.Sandbox
	catalog    atomic.Pointer[build.Catalog]
	workspaces *build.Workspaces
	caches     *build.Caches
	broker     *signaling.Client
}

// run checks the machine and then works until it is drained or stopped.
func (p program) run(cfg *Config) (err error) {
	a := &parts{log: cfg.Log.Logger(p.stderr).With("agent", cfg.State.Name)}
	if err := p.keys(cfg, a); err != nil {
		return err
	}
	if a.sources, err = source.New(cfg.Source); err != nil {
		return usage(err)
	}
	if a.sandbox, err = cfg.Sandbox.Open(p.ctx); err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // now SIGHUP does not end the agent
	defer signal.Stop(hangups)
	catalog, err := detect(p.ctx, cfg, a.sandbox, a.log)
	if err != nil {
		return err
	}
	if len(catalog.Capabilities()) == 0 {
		return usage(errors.New("no recipe works on this machine, so the agent could build nothing"), missing(catalog)...)
	}
	a.catalog.Store(catalog)
	if a.sandbox.Name() == sandbox.KindNone {
		a.log.Warn("builds run without a sandbox: clients have every right of this account")
	}
	if soft := a.sandbox.Soft(); soft != nil && a.sandbox.Name() != sandbox.KindNone {
		a.log.Warn("limits of memory, processes and processors are soft", "reason", soft, "hint", sandbox.LimitsHint)
	}
	if a.workspaces, err = build.OpenWorkspaces(filepath.Join(cfg.State.Dir, "workspaces"), a.log); err != nil {
		return usage(err)
	}
	defer a.workspaces.Close()
	if a.caches, err = build.OpenCaches(a.workspaces, catalog, cfg.Build.Caches); err != nil {
		return usage(err)
	}
	// NewWays logs the way that works, and each change of it.
	ways, err := signaling.NewWays(cfg.URL, cfg.Reach, nil, a.log)
	if err != nil {
		return usage(err)
	}
	a.broker, err = signaling.New(signaling.Config{URL: cfg.URL, Ways: ways, UserAgent: "farforge-proxy-agent/" + cli.Version(), Logger: a.log})
	if err != nil {
		return usage(err)
	}
	defer a.broker.Close()
	return explain(p.work(cfg, a, hangups), a.key, cfg)
}

// keys reads the agent's two keys. At the first start it makes them.
func (p program) keys(cfg *Config, a *parts) error {
	// A missing key at a path that the operator names is more likely a typing mistake.
	key, made, err := p.openKey(&cfg.State, cfg.State.ownKey)
	if err != nil {
		return err
	}
	if made {
		fmt.Fprintf(p.stdout, "proxy-agent: made a key; the broker's operator must add this line to the authorized agents:\n%s\n", key.PublicLine(cfg.State.Name))
	}
	sealing, err := envelope.LoadOrGenerateKey(filepath.Join(cfg.State.Dir, sealingName))
	if err != nil {
		return usage(err)
	}
	a.key, a.sealing = key, sealing
	return nil
}

func (p program) work(cfg *Config, a *parts, hangups <-chan os.Signal) error {
	bound, err := a.sealing.Bind(a.key)
	if err != nil {
		return usage(err)
	}
	pinned := func(ctx context.Context) (*grant.KeySet, error) {
		return session.PinnedKeys(ctx, cfg.State.Dir, a.broker.Origin(), a.broker.JWKS, func(ids []string) {
			a.log.Warn("the broker has new signing keys, which are not trusted", "keys", ids)
		})
	}
	w := cfg.Worker
	w.Broker, w.Key, w.Sealing, w.Keys = a.broker, a.key, bound, pinned
	w.Line = a.key.PublicLine(cfg.State.Name)
	w.Warm, w.ProbeNAT = a.caches.Warm, a.broker.ProbeNAT
	w.Offer = func() ([]api.Capability, []api.Recipe) {
		catalog := a.catalog.Load()
		return catalog.Capabilities(), catalog.Recipes()
	}
	w.SoftLimits = a.sandbox.Soft() != nil
	w.Version, w.Logger = cli.Version(), a.log
	w.DiskLow = func() error { return a.workspaces.Low(cfg.Build.Disk.Reserve) }
	w.Host = func(keys *grant.KeySet) (*session.Host, error) {
		fmt.Fprintf(p.stdout, "proxy-agent: enrolled with %s, builds for %s\n", a.broker.Origin(), abilities(a.catalog.Load()))
		s := cfg.Session
		s.Key, s.Sealing, s.Keys, s.Refetch = a.key, a.sealing, keys, pinned
		s.Broker, s.Clock, s.Loopback = a.broker.Origin(), a.broker, a.broker.Loopback()
		s.UsedGrants = filepath.Join(cfg.State.Dir, usedName)
		s.Sources, s.Catalog, s.Sandbox, s.Workspaces, s.Caches = a.sources, a.catalog.Load, a.sandbox, a.workspaces, a.caches
		s.Version, s.Logger, s.Disk = cli.Version(), a.log, cfg.Build.Disk
		return session.NewHost(s)
	}
	agent := worker.New(w)
	ctx, cancel := context.WithCancel(p.ctx)
	var reloads sync.WaitGroup
	defer reloads.Wait()
	defer cancel()
	reloads.Go(func() {
		for {
			select {
			case <-hangups:
				a.reload(ctx, cfg)
				agent.Changed()
			case <-ctx.Done():
				return
			}
		}
	})
	drain, socket := p.serveOperator(ctx, cfg, a, agent, &reloads)
	if socket != nil {
		defer socket.Close()
	}
	return agent.Run(p.ctx, drain)
}

// serveOperator opens the operator's socket, and returns a channel that the
// operator or a signal closes to drain the agent. An agent without the socket
// works, too. running counts a goroutine that ends with ctx.
func (p program) serveOperator(ctx context.Context, cfg *Config, a *parts, agent *worker.Worker, running *sync.WaitGroup) (<-chan struct{}, *operator.Server) {
	drain := make(chan struct{})
	closeDrain := sync.OnceFunc(func() { close(drain) })
	running.Go(func() {
		select {
		case <-p.drain:
			closeDrain()
		case <-ctx.Done():
		}
	})
	started := time.Now().UTC()
	socket, err := operator.Serve(cfg.State.Dir, func() operator.State {
		draining := false
		select {
		case <-drain:
			draining = true
		default:
		}
		return operator.State{Name: cfg.State.Name, Broker: a.broker.Origin(), Started: started, Status: agent.Status(draining)}
	}, closeDrain)
	if err != nil {
		a.log.Warn("proxy-agent status and drain will not work", "error", err)
	}
	return drain, socket
}

// reload reads the recipes again, after SIGHUP. If none of them works, the agent
// keeps its present ones.
func (a *parts) reload(ctx context.Context, cfg *Config) {
	catalog, err := detect(ctx, cfg, a.sandbox, a.log)
	if err == nil && len(catalog.Capabilities()) == 0 {
		err = errors.New("no recipe works on this machine")
	}
	if err != nil {
		a.log.Error("the recipes were not reloaded", "error", err)
		return
	}
	a.catalog.Store(catalog)
	a.log.Info("reloaded the recipes", "builds_for", abilities(catalog))
}

// explain gives the error that ended the work an exit code and hints.
func explain(err error, key *identity.Key, cfg *Config) error {
	var p *api.Problem
	var u *signaling.Unreachable
	var change *session.KeyChange
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return cli.Fail(cli.Interrupted, errors.New("stopped, together with the running jobs"))
	case errors.As(err, &change):
		return cli.Fail(cli.Verification, err, change.Hint())
	case errors.As(err, &u):
		return cli.Fail(cli.Broker, err, u.Hints...)
	case errors.As(err, &p):
		hints := p.Hints
		if p.Code == api.CodeBadSignature || p.Code == api.CodeForbidden {
			hints = append(hints, "the broker's file of authorized agents must have this line:  "+key.PublicLine(cfg.State.Name))
		}
		return cli.Fail(cli.Broker, fmt.Errorf("the broker refused this agent: %w", err), hints...)
	}
	return err
}

// missing returns for each recipe why it does not work.
func missing(catalog *build.Catalog) []string {
	var hints []string
	for _, e := range catalog.Entries {
		hints = append(hints, e.Recipe.Name+": "+e.Missing)
	}
	return hints
}

// abilities lists the targets and toolchains in words.
func abilities(catalog *build.Catalog) string {
	var all []string
	for _, c := range catalog.Capabilities() {
		all = append(all, fmt.Sprintf("%s with %s %s", c.Target, c.Toolchain, c.Version))
	}
	return strings.Join(all, ", ")
}
