package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/broker/jobs"
	"github.com/farforge/farforge/broker/login"
	"github.com/farforge/farforge/common/grant"
)

// Server serves the HTTP API. Its methods may be called concurrently.
type Server struct {
	cfg     Config
	board   *jobs.Board
	login   *login.Login
	metrics *metrics
	keySet  atomic.Pointer[keySet]
	now     func() time.Time
	handler http.Handler
}

// keySet is the broker's published key set.
type keySet struct {
	jwks []byte
	tag  string // its entity tag
}

// New returns a server and starts its goroutines, which Close ends.
func New(cfg Config) (*Server, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, now: cfg.Now}
	s.login = login.New(login.Config{
		Origin: cfg.Origin, Secret: cfg.Secret, Agent: cfg.Directory.Lookup, Users: cfg.Users,
		Logger: cfg.Logger, Now: cfg.Now,
	})
	var err error
	if s.board, err = jobs.New(cfg.Config); err != nil {
		return nil, err
	}
	if err := s.UseKeys(cfg.Signer, &grant.Published{Keys: cfg.Keys}); err != nil {
		s.board.Close()
		return nil, err
	}
	s.metrics = newMetrics(s)
	s.handler = s.routes()
	return s, nil
}

// UseKeys changes the keys under the running server. Grants that were signed
// before stay valid while their key is among the published ones.
func (s *Server) UseKeys(signer *grant.Signer, published *grant.Published) error {
	jwks, err := json.Marshal(published)
	if err != nil {
		return fmt.Errorf("broker server: write the key set: %w", err)
	}
	sum := sha256.Sum256(jwks)
	s.board.UseKeys(signer, published.Keys)
	s.keySet.Store(&keySet{jwks: jwks, tag: `"` + hex.EncodeToString(sum[:16]) + `"`})
	return nil
}

// Handler returns the whole API.
func (s *Server) Handler() http.Handler { return s.handler }

// Metrics returns the handler of /metrics alone, for a listener of its own.
func (s *Server) Metrics() http.Handler { return s.metrics.handler() }

// Drain ends parked polls and waiting offers, reports it in /health, and lets
// claimed offers get their answers. It does not block.
func (s *Server) Drain() { s.board.Drain() }

// Idle reports whether no poll or offer is blocked.
func (s *Server) Idle() bool {
	st := s.board.Stats()
	return st.Parked == 0 && st.Offering == 0
}

// Close drains and ends the server's goroutines. The handler must not be in use
// any more.
func (s *Server) Close() { s.board.Close() }
