package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/history"
	"github.com/farforge/farforge/broker/keyring"
	"github.com/farforge/farforge/broker/server"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/wholefile"
)

// signals are what the operator may send while the broker runs.
type signals struct {
	drain  <-chan struct{}
	reload <-chan os.Signal
}

// serve runs the broker until it is drained or ctx ends.
func serve(ctx context.Context, c *Config, sig signals, stdout, stderr io.Writer) error {
	logger := newLogger(c, stderr)
	list, err := directory.OpenFile(c.AuthorizedAgents, logger)
	if err != nil {
		return usage(fmt.Errorf("--authorized-agents: %w", err), "the file has one public key a line, as ssh-keygen writes it to NAME.pub")
	}
	who, err := c.Users.registry(c.Open, logger)
	if err != nil {
		return err
	}
	defer who.Close()
	services, err := newServices(c.AdminTokenFile, list)
	if err != nil {
		return usage(err)
	}
	certs, err := openCertificates(c, logger)
	if err != nil {
		return err
	}
	l, err := listen(c)
	if err != nil {
		return err
	}
	defer l.close() // again, where the server has closed them
	l.TLS, l.API = certs.tls(), c.Reach.throughProxies(l.API)
	scheme := "http"
	if l.TLS != nil {
		scheme = "https"
	}
	url := scheme + "://" + l.API.Addr().String()
	origin := c.Origin
	if origin == "" {
		origin = url
	}
	ring, err := keyring.Open(c.StateDir, origin, logger)
	if err != nil {
		return usage(fmt.Errorf("--state-dir: %w", err))
	}
	keys := ring.Current()
	relay, err := c.Relay.open(&l.Listeners, origin, ring.Secret(), logger)
	if err != nil {
		return err
	}
	defer relay.close()
	learned, err := history.Open(filepath.Join(c.StateDir, "history.db"), time.Now())
	if err != nil {
		return usage(fmt.Errorf("--state-dir: %w", err), "end the other broker, or move the file away if it is damaged: only what was learned of agents is lost")
	}
	defer learned.Close()
	srv, err := server.New(server.Config{
		Origin: origin, Signer: keys.Signer, Secret: ring.Secret(), Directory: list.Directory(), History: learned,
		Users: who, Accounts: c.Users.accounts(), Addresses: c.Users.addresses(),
		ICEServers: iceServers(c.ICEServers), Relay: relay.Relay, STUN: append(relay.stun, c.ICEServers...), MoreMetrics: relay.metrics, RequireSealed: c.RequireSealed, Services: services,
		Limits:  server.Limits{Cores: c.MaxCores, MemoryMB: c.MaxMemory, Session: c.MaxSession},
		MaxWait: c.MaxWait, AnswerTimeout: c.AnswerTimeout,
		TrustedProxies: c.Reach.networks, AllowedOrigins: c.Reach.AllowedOrigins, BinMetrics: !c.ExactMetrics,
		HideMetrics: l.Metrics != nil, Logger: logger, UnsafeLogging: c.UnsafeLogging,
		Version: version(),
	})
	if err != nil {
		return err
	}
	defer srv.Close()
	useKeys := func(k keyring.Current) {
		if err := srv.UseKeys(k.Signer, k.Published); err != nil {
			logger.Error("the grant signing keys stay as they were", "err", err)
		}
	}
	useKeys(keys)
	ring.OnChange(useKeys)
	if c.AddrFile != "" {
		if err := wholefile.Write(c.AddrFile, []byte(url+"\n"), 0o600); err != nil {
			return usage(fmt.Errorf("--addr-file: %w", err))
		}
	}
	fmt.Fprintf(stdout, "broker: listening on %s as %s, %d agents listed\n", url, origin, list.Directory().Snapshot().Len())

	if services != nil {
		fmt.Fprintf(stdout, "broker: the admin token is in %s\n", c.AdminTokenFile)
	}

	var reloader sync.WaitGroup
	ended := make(chan struct{})
	reloader.Go(func() { follow(ended, sig.reload, list, who, ring, certs) })
	defer reloader.Wait()
	defer close(ended)
	defer certs.start(l.http01, origin, logger)()
	return srv.Run(ctx, sig.drain, l.Listeners)
}

func newLogger(c *Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // Validate has seen it
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func iceServers(urls []string) []api.ICEServer {
	servers := make([]api.ICEServer, len(urls))
	for i, u := range urls {
		servers[i] = api.ICEServer{URLs: []string{u}}
	}
	return servers
}
