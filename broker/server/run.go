package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"time"
)

// Timeouts of every listener. The read timeout is for slow senders; a request that
// is held extends its own, see hold. The write timeout begins at the end of a
// request's header, and so is longer than any hold.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 20 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	shutdownTimeout   = 10 * time.Second
)

// httpServer returns a server with the timeouts above.
func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          s.errorLog(),
	}
}

// Listeners are the sockets of a server.
type Listeners struct {
	// API serves everything, over TLS if TLS is set. Required.
	API net.Listener
	TLS *tls.Config
	// Metrics serves /metrics, without TLS. Optional.
	Metrics net.Listener
}

// Run serves until drain is closed or ctx ends, and closes the listeners. When
// drain is closed it ends waits, lets agents answer claimed offers, and returns
// nil once all requests are done. When ctx ends it cuts requests off and returns
// the cause.
func (s *Server) Run(ctx context.Context, drain <-chan struct{}, l Listeners) error {
	public := s.httpServer(s.Handler())
	public.TLSConfig = l.TLS
	servers := []*http.Server{public}
	failed := make(chan error, 2)
	go func() {
		if l.TLS != nil {
			failed <- public.ServeTLS(l.API, "", "")
		} else {
			failed <- public.Serve(l.API)
		}
	}()
	if l.Metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", s.Metrics())
		own := s.httpServer(mux)
		servers = append(servers, own)
		go func() { failed <- own.Serve(l.Metrics) }()
	}

	running := len(servers)
	var err error
	select {
	case err = <-failed:
		running--
		err = fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	case <-drain:
		s.cfg.Logger.Info("draining: new jobs are refused, claimed jobs still get their answers")
		s.Drain()
		s.awaitIdle(ctx)
	}
	s.Drain()
	graceful, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	for _, srv := range servers {
		if srv.Shutdown(graceful) != nil {
			_ = srv.Close() // cuts off the connections that are still open
		}
	}
	for range running {
		if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// awaitIdle waits until no request is held. Meanwhile /health still answers, and
// new requests are refused with a time to retry.
func (s *Server) awaitIdle(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !s.Idle() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// errorLog is the log of net/http, without addresses.
func (s *Server) errorLog() *log.Logger {
	return slog.NewLogLogger(scrubber{s.cfg.Logger.Handler(), s.cfg.UnsafeLogging}, slog.LevelDebug)
}

// addressForm matches IPv4 and IPv6 addresses, with or without brackets and port.
// It matches too much rather than too little: a time of day such as 10:15:30
// matches, too.
var addressForm = regexp.MustCompile(
	`\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.%\w]*\](:\d+)?` +
		`|\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b` +
		`|(?:\b[0-9A-Fa-f]{1,4})?(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(%\w+)?`)

// scrub replaces every address in s.
func scrub(s string) string { return addressForm.ReplaceAllString(s, "[address]") }

// scrubber is a log handler for the messages of net/http: it removes addresses.
type scrubber struct {
	slog.Handler
	off bool
}

func (h scrubber) Handle(ctx context.Context, r slog.Record) error {
	if !h.off {
		r.Message = scrub(r.Message)
	}
	return h.Handler.Handle(ctx, r)
}
