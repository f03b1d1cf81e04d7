package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"golang.org/x/time/rate"

	"github.com/farforge/farforge/common/api"
)

// Server is a running relay. Its methods may be called concurrently.
type Server struct {
	cfg     Config
	local   []netip.Addr // of this machine
	turn    *turn.Server
	corners corners
	share   *share // nil unless Config.Shared
	jobs    jobs
	total   *rate.Limiter
	metrics *metrics
	now     func() time.Time
	loops   sync.WaitGroup
	close   func() error

	udpPort, tcpPort, tlsPort, apiPort int // 0: not served
}

// Listen opens all sockets and serves until Close.
func Listen(cfg Config) (_ *Server, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	local, err := localAddresses()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, local: local, now: time.Now,
		jobs:  jobs{m: map[string]*job{}, most: cfg.MaxAllocations, bytes: rate.Limit(cfg.JobKbps) * 1000 / 8},
		total: newLimiter(rate.Limit(cfg.TotalKbps) * 1000 / 8),
	}
	host := localHost(cfg.PublicIPs[0], local)
	if s.corners, err = listenCorners(cfg.PublicIPs, local, cfg.Port); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	s.udpPort = s.portOf(0, 0)
	var listeners []net.Listener
	defer func() {
		if err != nil {
			s.corners.close()
			for _, l := range listeners {
				_ = l.Close()
			}
		}
	}()
	tcp, err := net.Listen("tcp", net.JoinHostPort(host, portText(cfg.Port)))
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	listeners = append(listeners, track(tcp))
	s.tcpPort = portOf(tcp)
	if cfg.TLS != nil {
		l, err := net.Listen("tcp", net.JoinHostPort(host, portText(cfg.TLSPort)))
		if err != nil {
			return nil, fmt.Errorf("relay: %w", err)
		}
		listeners = append(listeners, tls.NewListener(track(l), cfg.TLS))
		s.tlsPort = portOf(l)
	}
	s.metrics = newMetrics(cfg.Registerer)
	if cfg.Shared != nil {
		s.share = newShare(cfg.Shared)
		listeners = append(listeners, track(&s.share.turn))
		s.apiPort = portOf(cfg.Shared)
	}
	if err := s.serve(host, listeners); err != nil {
		return nil, err
	}
	s.close = sync.OnceValue(s.end)
	return s, nil
}

func (s *Server) serve(host string, listeners []net.Listener) (err error) {
	config := turn.ServerConfig{
		Realm: "farforge", AuthHandler: s.authenticate,
		QuotaHandler: func(jobID, _ string, _ net.Addr) bool {
			if s.jobs.full(jobID) {
				s.metrics.refusals.WithLabelValues("quota").Inc()
				return false
			}
			return true
		},
		// Its messages have addresses in them; what matters is in the metrics.
		LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled, ScopeLevels: map[string]logging.LogLevel{}},
	}
	relays := generator{RelayAddressGenerator: &turn.RelayAddressGeneratorPortRange{
		RelayAddress: s.cfg.PublicIPs[0].AsSlice(), Address: host,
		MinPort: s.cfg.MinPort, MaxPort: s.cfg.MaxPort, MaxRetries: 100,
	}, s: s}
	config.PacketConnConfigs = []turn.PacketConnConfig{{
		PacketConn: withSTUN{s.corners[0][0], s}, RelayAddressGenerator: relays, PermissionHandler: s.permit,
	}}
	for _, l := range listeners {
		config.ListenerConfigs = append(config.ListenerConfigs, turn.ListenerConfig{
			Listener: l, RelayAddressGenerator: relays, PermissionHandler: s.permit,
		})
	}
	if s.turn, err = turn.NewServer(config); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	for i := range s.corners {
		for j := range s.corners[i] {
			if i != 0 || j != 0 {
				s.loops.Go(func() { s.serveSTUN(i, j) })
			}
		}
	}
	return nil
}

// Close ends all allocations. The API's listener stays open if there is one:
// its own server closes it.
func (s *Server) Close() error { return s.close() }

func (s *Server) end() error {
	err := s.turn.Close()
	for i, row := range s.corners {
		for j, conn := range row {
			if i != 0 || j != 0 {
				err = errors.Join(err, conn.Close())
			}
		}
	}
	s.loops.Wait()
	return err
}

// API returns what is left of Config.Shared for the API's server: everything
// that is not TURN. To close it closes the whole.
func (s *Server) API() net.Listener { return apiHalf{s.share} }

// ICEServers returns how a peer of the job reaches the relay, with credentials
// that are good for life.
func (s *Server) ICEServers(jobID string, life time.Duration) []api.ICEServer {
	ip := s.cfg.PublicIPs[0].String()
	at := func(scheme, host string, port int, transport string) string {
		return scheme + ":" + net.JoinHostPort(host, strconv.Itoa(port)) + transport
	}
	urls := []string{at("turn", ip, s.udpPort, "?transport=udp"), at("turn", ip, s.tcpPort, "?transport=tcp")}
	if s.tlsPort != 0 {
		urls = append(urls, at("turns", s.cfg.Host, s.tlsPort, "?transport=tcp"))
	}
	if s.apiPort != 0 {
		urls = append(urls, at("turn", ip, s.apiPort, "?transport=tcp"))
	}
	username, password := Credentials(s.cfg.Secret, jobID, s.now().Add(life))
	return []api.ICEServer{
		{URLs: []string{s.STUN()}},
		{URLs: urls, Username: username, Credential: password},
	}
}

// STUN returns the URL to probe a NAT with.
func (s *Server) STUN() string {
	return "stun:" + net.JoinHostPort(s.cfg.PublicIPs[0].String(), strconv.Itoa(s.udpPort))
}

// External is a TURN server of somebody else's making, such as coturn with
// use-auth-secret, that shares a secret with the broker.
type External struct {
	Secret []byte
	URLs   []string
}

// ICEServers is as that of [Server].
func (e External) ICEServers(jobID string, life time.Duration) []api.ICEServer {
	username, password := Credentials(e.Secret, jobID, time.Now().Add(life))
	return []api.ICEServer{{URLs: e.URLs, Username: username, Credential: password}}
}

func portText(port uint16) string { return strconv.Itoa(int(port)) }

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
