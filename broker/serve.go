package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/farforge/farforge/broker/activation"
	"github.com/farforge/farforge/broker/certificate"
	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/broker/history"
	"github.com/farforge/farforge/broker/keyring"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/relay"
	"github.com/farforge/farforge/broker/server"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/wholefile"
)

// signals carry the operator's requests to a running broker.
type signals struct {
	drain  <-chan struct{}
	reload <-chan os.Signal
}

// serve runs the broker until it is drained or ctx ends.
func serve(ctx context.Context, c *Config, sig signals, stdout, stderr io.Writer) error {
	logger := c.Log.Logger(stderr)
	list, err := directory.OpenFile(c.AuthorizedAgents, logger)
	if err != nil {
		return usage(fmt.Errorf("--authorized-agents: %w", err), "the file has one public key a line, as ssh-keygen writes it to NAME.pub")
	}
	who, err := users.Open(c.Users, logger)
	if err != nil {
		return err
	}
	defer who.Close()
	services, err := newServices(c.AdminTokenFile, list)
	if err != nil {
		return usage(err)
	}
	certs, err := certificate.Open(c.Certificate, filepath.Join(c.StateDir, "certificates"), logger)
	if err != nil {
		return err
	}
	l, err := listen(c)
	if err != nil {
		return err
	}
	defer l.close() // again, where the server has closed them
	l.TLS = certs.TLS()
	scheme := "http"
	if l.TLS != nil {
		scheme = "https"
	}
	here := scheme + "://" + l.API.Addr().String()
	origin := cmp.Or(c.Origin, here)
	ring, err := keyring.Open(c.StateDir, origin, logger)
	if err != nil {
		return usage(fmt.Errorf("--state-dir: %w", err))
	}
	keys := ring.Current()
	registry := prometheus.NewRegistry()
	turn, own, err := openRelay(c, &l, origin, ring.Secret(), logger, registry)
	if err != nil {
		return err
	}
	if own != nil {
		defer func() {
			if err := own.Close(); err != nil {
				logger.Warn("close the relay", "err", err)
			}
		}()
	}
	learned, err := history.Open(filepath.Join(c.StateDir, "history.db"), time.Now())
	if err != nil {
		return usage(fmt.Errorf("--state-dir: %w", err), "stop the other broker, or move the file away if it is damaged: only the history of agents is lost")
	}
	defer func() {
		if err := learned.Close(); err != nil {
			logger.Error("the last results of agents are lost", "err", err)
		}
	}()
	config := c.Server
	config.Origin, config.Signer, config.Secret = origin, keys.Signer, ring.Secret()
	config.Directory, config.History, config.Users, config.Services = list.Directory(), learned, who, services
	config.Accounts, config.Addresses = quota.NewAccounts(c.Quota.Limits), c.Quota.Addresses()
	config.Relay, config.STUN = turn, stunServers(own, c.Server.ICEServers)
	config.MoreMetrics, config.HideMetrics = prometheus.Gatherers{registry}, l.Metrics != nil
	config.Logger, config.Version = logger, cli.Version()
	srv, err := server.New(config)
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
		if err := wholefile.Write(c.AddrFile, []byte(here+"\n"), 0o600); err != nil {
			return usage(fmt.Errorf("--addr-file: %w", err))
		}
	}
	fmt.Fprintf(stdout, "broker: listening on %s as %s, %d agents listed\n", here, origin, list.Directory().Snapshot().Len())

	if services != nil {
		fmt.Fprintf(stdout, "broker: the admin token is in %s\n", c.AdminTokenFile)
	}

	var reloader sync.WaitGroup
	ended := make(chan struct{})
	reloader.Go(func() { disk.Follow(ended, sig.reload, list, who, ring, certs) })
	defer reloader.Wait()
	defer close(ended)
	defer certs.Start(l.http01, origin, logger)()
	if err := activation.Ready(); err != nil {
		logger.Warn(err.Error())
	}
	return srv.Run(ctx, sig.drain, l.Listeners)
}

// openRelay starts the relay that the options ask for; own is set if it is the
// broker's. It may take over the API's listener, to serve TURN there too.
func openRelay(c *Config, l *listeners, origin string, secret []byte, logger *slog.Logger, metrics prometheus.Registerer) (relay.Service, *relay.Server, error) {
	config := c.Relay
	config.Addr, config.Secret, config.Registerer, config.Logger = l.API.Addr(), secret, metrics, logger
	if u, err := url.Parse(origin); err == nil {
		config.Host = u.Hostname()
	}
	// Behind a proxy that ends TLS, peers reach another port than the API's.
	if l.TLS != nil {
		config.TLS, config.Shared = l.TLS.Clone(), l.API
		config.TLS.NextProtos = nil
	}
	service, err := relay.Open(config)
	if err != nil {
		return nil, nil, err
	}
	own, _ := service.(*relay.Server)
	if own != nil && config.Shared != nil {
		l.API = own.API()
	}
	return service, own, nil
}

// stunServers are the URLs of the servers that peers test their NATs with.
func stunServers(own *relay.Server, others []api.ICEServer) []string {
	var urls []string
	if own != nil {
		urls = append(urls, own.STUN())
	}
	for _, each := range others {
		urls = append(urls, each.URLs...)
	}
	return urls
}
