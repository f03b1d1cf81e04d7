package server

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/broker/login"
	"github.com/farforge/farforge/broker/mailbox"
	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// Server answers the HTTP API. Its methods may be called concurrently.
type Server struct {
	cfg      Config
	meet     *rendezvous.Rendezvous
	mail     *mailbox.Mailboxes
	places   *places
	match    *matching
	metrics  *metrics
	login    *login.Login
	reported *recent[struct{}] // jobs that were reported
	// issued saves verifying the signatures of grants that this very process
	// has made a moment ago, which is nearly all of them.
	issued   *recent[*grant.Grant]
	keys     atomic.Pointer[keys]
	draining atomic.Bool
	started  time.Time
	now      func() time.Time
	handler  http.Handler
}

// New makes a server. Close ends what it starts.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:      cfg,
		match:    newMatching(cfg.Secret),
		mail:     mailbox.New(mailbox.Config{Memory: api.JobMemory, MaxBodies: api.MaxTrickled}),
		places:   newPlaces(),
		reported: newRecent[struct{}](1 << 16),
		issued:   newRecent[*grant.Grant](1 << 13),
		now:      time.Now,
	}
	s.login = login.New(login.Config{
		Origin: cfg.Origin, Secret: cfg.Secret, Agent: cfg.Directory.Lookup, Users: cfg.Users,
		Logger: cfg.Logger, Now: func() time.Time { return s.now() },
	})
	if err := s.remember(); err != nil {
		return nil, err
	}
	if err := s.UseKeys(cfg.Signer, &grant.Published{Keys: cfg.Keys}); err != nil {
		return nil, err
	}
	s.meet = rendezvous.New(rendezvous.Config{
		AnswerTimeout: cfg.AnswerTimeout, Claim: s.reserve, Unclaimed: s.unreserve, Late: s.late,
	})
	s.started = s.now()
	s.metrics = newMetrics(s)
	s.handler = s.routes()
	cfg.Directory.OnRevoked(s.revoked)
	cfg.Directory.Observe(s.match.farm)
	return s, nil
}

// Handler returns the whole API.
func (s *Server) Handler() http.Handler { return s.handler }

// Metrics returns the handler of /metrics alone, for a listener of its own.
func (s *Server) Metrics() http.Handler { return s.metrics.handler() }

// Drain lets parked polls and waiting offers end at once, tells /health, and
// lets claimed offers get their answers. It does not block.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.meet.Drain()
	s.mail.Drain()
}

// Idle tells whether no poll or offer is blocked.
func (s *Server) Idle() bool {
	st := s.meet.Stats()
	return st.Parked == 0 && st.Offering == 0
}

// Close drains and ends the server's goroutines. The handler must not be in
// use any more.
func (s *Server) Close() {
	s.Drain()
	s.meet.Close()
}
