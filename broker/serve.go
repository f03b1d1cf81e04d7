package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/keyring"
	"github.com/farforge/farforge/broker/server"
	"github.com/farforge/farforge/common/api"
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
	l, err := listen(c)
	if err != nil {
		return err
	}
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
		closeAll(l)
		return usage(fmt.Errorf("--state-dir: %w", err))
	}
	keys := ring.Current()
	srv, err := server.New(server.Config{
		Origin: origin, Signer: keys.Signer, Secret: ring.Secret(), Directory: list.Directory(),
		Users: who, Accounts: c.Users.accounts(), Addresses: c.Users.addresses(),
		ICEServers: iceServers(c.ICEServers), RequireSealed: c.RequireSealed, Services: services,
		Limits:  server.Limits{Cores: c.MaxCores, MemoryMB: c.MaxMemory, Session: c.MaxSession},
		MaxWait: c.MaxWait, AnswerTimeout: c.AnswerTimeout,
		HideMetrics: l.Metrics != nil, Logger: logger, UnsafeLogging: c.UnsafeLogging,
		Version: version(),
	})
	if err != nil {
		closeAll(l)
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
		if err := writeAtomically(c.AddrFile, url+"\n"); err != nil {
			closeAll(l)
			return usage(fmt.Errorf("--addr-file: %w", err))
		}
	}
	fmt.Fprintf(stdout, "broker: listening on %s as %s, %d agents listed\n", url, origin, list.Directory().Snapshot().Len())

	if services != nil {
		fmt.Fprintf(stdout, "broker: the admin token is in %s\n", c.AdminTokenFile)
	}

	var reloader sync.WaitGroup
	ended := make(chan struct{})
	reloader.Go(func() { follow(ended, sig.reload, list, who, ring) })
	defer reloader.Wait()
	defer close(ended)
	return srv.Run(ctx, sig.drain, l)
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

// listen opens all listeners, or none.
func listen(c *Config) (l server.Listeners, err error) {
	if !c.DisableTLS {
		cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return l, usage(fmt.Errorf("--cert and --key: %w", err))
		}
		l.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	if l.API, err = net.Listen("tcp", c.Addr); err != nil {
		return l, usage(fmt.Errorf("--addr: %w", err), "is another program listening there, or may this user not use the port?")
	}
	if c.MetricsAddr != "" {
		if l.Metrics, err = net.Listen("tcp", c.MetricsAddr); err != nil {
			_ = l.API.Close()
			return l, usage(fmt.Errorf("--metrics-addr: %w", err))
		}
	}
	return l, nil
}

func closeAll(l server.Listeners) {
	_ = l.API.Close()
	if l.Metrics != nil {
		_ = l.Metrics.Close()
	}
}

// writeAtomically writes a file that readers see whole or not at all.
func writeAtomically(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".addr-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
