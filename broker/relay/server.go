// Package relay is the broker's own STUN and TURN server (RFC 8489, RFC 8656):
// the last resort for two peers without a direct path. It relays DTLS between the
// peers and can neither read nor change it.
//
//	client ── UDP or TCP 3478, TLS 5349, TCP on the API's port ──▶ relay ◀── … ── agent
//	            allocation on one port of --relay-ports
//
// # Access
//
// Only the peers of a job may use it. The broker makes credentials for each job
// in the form that coturn and others share (draft-uberti-behave-turn-rest): the
// username is "EXPIRY:JOB.OWNER" and the password an HMAC of it, so the relay
// stores nothing. They go out with the grant and with the job, and expire a
// little later than the session.
//
// A job has few allocations and a bounded rate; packets beyond the rate are
// dropped, as on a congested link. The jobs of one user share a bound on
// allocations, and so do the peers of one network, so that none of them takes all
// ports. A TCP or TLS connection without an allocation ends after some seconds.
//
// # Destinations
//
// The relay never sends to this machine's own network: loopback, link-local,
// multicast, private, reserved and cloud platforms' ranges are refused, and on
// the relay's own address every port that is not a relayed one. Otherwise the
// relay would be a way around its own firewall.
//
// # Tests of NATs
//
// A second port, one above the first, answers STUN only. A peer that sends a
// request to both learns whether its NAT maps it to one address or to several. The relay
// understands OTHER-ADDRESS and CHANGE-REQUEST of RFC 5780. Two public addresses
// allow all tests of that document; with one, OTHER-ADDRESS repeats the address
// with another port.
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

// Server is a running relay. It is safe for concurrent use.
type Server struct {
	cfg     Config
	local   []netip.Addr // of this machine
	turn    *turn.Server
	corners corners
	share   *share // nil unless Config.Shared
	usage   *usage
	tcp     []*connections // of all TCP listeners
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
		usage: newUsage(cfg.MaxAllocations, cfg.MaxPerParty, rate.Limit(cfg.JobKbps)*1000/8),
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
	listeners = append(listeners, s.bound(tcp))
	s.tcpPort = portOf(tcp)
	if cfg.TLS != nil {
		l, err := net.Listen("tcp", net.JoinHostPort(host, portText(cfg.TLSPort)))
		if err != nil {
			return nil, fmt.Errorf("relay: %w", err)
		}
		listeners = append(listeners, tls.NewListener(s.bound(l), cfg.TLS))
		s.tlsPort = portOf(l)
	}
	s.metrics = newMetrics(cfg.Registerer)
	if cfg.Shared != nil {
		s.share = newShare(cfg.Shared)
		listeners = append(listeners, s.bound(&s.share.turn))
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
		QuotaHandler: func(userID, _ string, _ net.Addr) bool {
			if p, err := parseParty(userID); err != nil || s.usage.full(p) {
				s.metrics.refusals.WithLabelValues("quota").Inc()
				return false
			}
			return true
		},
		// pion's messages have addresses in them. The metrics have the rest.
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

// bound bounds the connections of a TCP listener.
func (s *Server) bound(l net.Listener) *connections {
	b := bound(l, waitTime)
	s.tcp = append(s.tcp, b)
	return b
}

// allocated notes that an allocation of the peer at the address begins (1) or
// ends (-1). A UDP peer has no connection.
func (s *Server) allocated(remote netip.AddrPort, change int) {
	for _, l := range s.tcp {
		l.allocated(remote, change)
	}
}

// Close ends all allocations. The API's listener stays open: its own server
// closes it.
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

// API returns the connections of Config.Shared that are not TURN, for the API's
// server. Closing it closes Config.Shared.
func (s *Server) API() net.Listener { return apiHalf{s.share} }

// ICEServers returns the URLs of the relay with credentials for a peer of the
// job, valid for the given life. The owner is the job's user, or the network of
// one without a name: its jobs share a bound on allocations.
func (s *Server) ICEServers(jobID, owner string, life time.Duration) []api.ICEServer {
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
	username, password := Credentials(s.cfg.Secret, name(s.cfg.Secret, jobID, owner), s.now().Add(life))
	return []api.ICEServer{
		{URLs: []string{s.STUN()}},
		{URLs: urls, Username: username, Credential: password},
	}
}

// STUN returns the URL to probe a NAT with.
func (s *Server) STUN() string {
	return "stun:" + net.JoinHostPort(s.cfg.PublicIPs[0].String(), strconv.Itoa(s.udpPort))
}

// External is another TURN server, such as coturn with use-auth-secret, that
// shares a secret with the broker.
type External struct {
	Secret []byte
	URLs   []string
}

// ICEServers is like that of [Server]; the server's own bounds hold.
func (e External) ICEServers(jobID, _ string, life time.Duration) []api.ICEServer {
	username, password := Credentials(e.Secret, jobID, time.Now().Add(life))
	return []api.ICEServer{{URLs: e.URLs, Username: username, Credential: password}}
}

func portText(port uint16) string { return strconv.Itoa(int(port)) }

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
