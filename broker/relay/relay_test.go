package relay

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/front/fronttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const someJob = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

var loopback = netip.MustParseAddr("127.0.0.1")

// listen runs a relay on free loopback ports.
func listen(t *testing.T, adjust func(*Config)) *Server {
	t.Helper()
	cfg := Config{Secret: []byte("0123456789abcdef"), Host: "localhost", PublicIPs: []netip.Addr{loopback}, Registerer: prometheus.NewRegistry()}
	adjust(&cfg)
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func quiet() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}
}

// client is a real TURN client with credentials.
func (s *Server) client(t *testing.T, conn net.PacketConn, server, username, password string) *turn.Client {
	t.Helper()
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: server, STUNServerAddr: server, Username: username, Password: password,
		Conn: conn, LoggerFactory: quiet(), RTO: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); _ = conn.Close() })
	return c
}

func (s *Server) udpClient(t *testing.T, username, password string) *turn.Client {
	t.Helper()
	return s.client(t, packetConn(t), s.corners[0][0].LocalAddr().String(), username, password)
}

func packetConn(t *testing.T) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// credentials are those of alice's job.
func (s *Server) credentials(jobID string, expires time.Time) (username, password string) {
	return Credentials(s.cfg.Secret, name(s.cfg.Secret, jobID, "key:alice"), expires)
}

func (s *Server) forJob(t *testing.T, jobID string) *turn.Client {
	t.Helper()
	username, password := s.credentials(jobID, time.Now().Add(time.Minute))
	return s.udpClient(t, username, password)
}

func allocate(t *testing.T, c *turn.Client) net.PacketConn {
	t.Helper()
	conn, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// wantEcho sends a packet to a peer through the relay, and back.
func wantEcho(t *testing.T, relayed net.PacketConn) {
	t.Helper()
	peer := packetConn(t)
	if _, err := relayed.WriteTo([]byte("ping through"), peer.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	_ = peer.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, from, err := peer.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "ping through" {
		t.Fatalf("the peer got %q, %v", buf[:n], err)
	}
	if from.String() != relayed.LocalAddr().String() {
		t.Errorf("from %v, want %v", from, relayed.LocalAddr())
	}
	if _, err := peer.WriteTo([]byte("pong through"), from); err != nil {
		t.Fatal(err)
	}
	_ = relayed.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, _, err = relayed.ReadFrom(buf); err != nil || string(buf[:n]) != "pong through" {
		t.Fatalf("the client got %q, %v", buf[:n], err)
	}
}

func TestRelaysOverUDP(t *testing.T) {
	s := listen(t, func(c *Config) { c.AllowPrivate = true; c.MinPort, c.MaxPort = 42000, 42009 })
	conn := allocate(t, s.forJob(t, someJob))
	if port := conn.LocalAddr().(*net.UDPAddr).Port; port < 42000 || port > 42009 {
		t.Errorf("relayed on port %d", port)
	}
	wantEcho(t, conn)
	if got := value(t, s.metrics.bytes); got != 24 {
		t.Errorf("%v bytes counted, want 24", got)
	}
}

func TestRelaysOverTCPAndTLS(t *testing.T) {
	s := listen(t, func(c *Config) { c.AllowPrivate = true; c.TLS = certificate(t) })
	username, password := s.credentials(someJob, time.Now().Add(time.Minute))
	for name, dial := range map[string]func() (net.Conn, error){
		"tcp": func() (net.Conn, error) { return net.Dial("tcp", addrOf(s.tcpPort)) },
		"tls": func() (net.Conn, error) {
			return tls.Dial("tcp", addrOf(s.tlsPort), &tls.Config{ServerName: "localhost", RootCAs: s.cfg.TLS.RootCAs})
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			c := s.client(t, turn.NewSTUNConn(conn), conn.RemoteAddr().String(), username, password)
			wantEcho(t, allocate(t, c))
		})
	}
}

// TestSharesTheAPIsPort serves HTTPS and TURN on one port.
func TestSharesTheAPIsPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := listen(t, func(c *Config) { c.AllowPrivate = true; c.Shared = l })
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	srv := &http.Server{Handler: hello, TLSConfig: certificate(t)}
	served := make(chan error, 1)
	go func() { served <- srv.ServeTLS(s.API(), "", "") }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	// A silent connection delays neither the others nor the end.
	silent, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: srv.TLSConfig.RootCAs, ServerName: "localhost"}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if string(body) != "hello" || resp.ProtoMajor != 2 {
		t.Errorf("%s %q", resp.Proto, body)
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	username, password := s.credentials(someJob, time.Now().Add(time.Minute))
	wantEcho(t, allocate(t, s.client(t, turn.NewSTUNConn(conn), l.Addr().String(), username, password)))
}

func TestRefusesCredentials(t *testing.T) {
	s := listen(t, func(c *Config) { c.AllowPrivate = true })
	good, password := s.credentials(someJob, time.Now().Add(time.Minute))
	old, oldPassword := s.credentials(someJob, time.Now().Add(-time.Second))
	forged, forgedPassword := Credentials([]byte("another secret of 16"), name(s.cfg.Secret, someJob, "key:alice"), time.Now().Add(time.Minute))
	expiry, _, _ := strings.Cut(good, ":")
	// A malformed username is sent with its correct password.
	misshapen := func(username string) [2]string { return [2]string{username, passwordOf(s.cfg.Secret, username)} }
	for name, c := range map[string][2]string{
		"expired":          {old, oldPassword},
		"other secret":     {forged, forgedPassword},
		"other job":        {strings.Replace(good, "01ARZ", "01ARX", 1), password},
		"later expiry":     {"9" + good, password},
		"no job":           misshapen(expiry + ":"),
		"no expiry":        misshapen(someJob),
		"an empty name":    misshapen(""),
		"longer than any":  misshapen(good + strings.Repeat("x", 100)),
		"minus as a digit": misshapen("-" + good),
		"no owner":         misshapen(expiry + ":" + someJob),
		"an empty owner":   misshapen(expiry + ":" + someJob + "."),
	} {
		t.Run(name, func(t *testing.T) {
			client := s.udpClient(t, c[0], c[1])
			if conn, err := client.Allocate(); err == nil {
				_ = conn.Close()
				t.Error("an allocation was made")
			}
		})
	}
	allocate(t, s.udpClient(t, good, password))
}

// TestRefusesPeersHere requests permissions for addresses behind the relay.
func TestRefusesPeersHere(t *testing.T) {
	s := listen(t, func(*Config) {})
	client := s.forJob(t, someJob)
	conn := allocate(t, client)
	victim := packetConn(t)
	for _, to := range []net.Addr{
		victim.LocalAddr(),
		&net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 53}, &net.UDPAddr{IP: net.IPv4(192, 168, 1, 1), Port: 53},
		&net.UDPAddr{IP: net.IPv4(169, 254, 169, 254), Port: 80}, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353},
		&net.UDPAddr{IP: net.IPv4(168, 63, 129, 16), Port: 80}, &net.UDPAddr{IP: net.IPv4zero, Port: 53}, &net.UDPAddr{IP: net.IPv4bcast, Port: 53},
	} {
		if err := client.CreatePermission(to); err == nil {
			t.Errorf("the relay gave a permission for %v", to)
		}
		if _, err := conn.WriteTo([]byte("x"), to); err == nil {
			t.Errorf("a packet to %v was sent", to)
		}
	}
	_ = victim.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _, err := victim.ReadFrom(make([]byte, 10)); err == nil {
		t.Errorf("the victim got %d bytes", n)
	}
	if got := value(t, s.metrics.refusals.WithLabelValues("peer")); got < 8 {
		t.Errorf("%v refusals counted", got)
	}
}

func TestMayReach(t *testing.T) {
	for text, want := range map[string][2]bool{ // by default, in a laboratory
		"203.0.113.9": {true, true}, "2a01:4f8::1": {true, true}, "::ffff:8.8.8.8": {true, true},
		"127.0.0.1": {false, true}, "10.1.2.3": {false, true}, "172.16.0.1": {false, true}, "192.168.0.1": {false, true},
		"::1": {false, true}, "fd00::1": {false, true}, "::ffff:127.0.0.1": {false, true}, "::ffff:10.0.0.1": {false, true},
		"100.64.0.1": {false, true}, "168.63.129.16": {}, "100.100.100.200": {}, "fd00:ec2::254": {}, "169.254.169.254": {}, "224.0.0.1": {}, "255.255.255.255": {}, "0.0.0.0": {}, "0.1.2.3": {}, "240.0.0.1": {},
		"fe80::1": {}, "fe80::1%eth0": {}, "ff02::1": {}, "::": {}, "64:ff9b::7f00:1": {}, "2002:7f00:1::": {}, "::7f00:1": {},
	} {
		ip := netip.MustParseAddr(text)
		if got := [2]bool{mayReach(ip, false), mayReach(ip, true)}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if mayReach(netip.Addr{}, true) {
		t.Error("the zero address may be reached")
	}
}

// On the relay's own address only relayed ports are peers.
func TestGuardsItsOwnPorts(t *testing.T) {
	own := netip.MustParseAddr("203.0.113.1")
	s := &Server{cfg: Config{PublicIPs: []netip.Addr{own}, MinPort: 49152, MaxPort: 49231}, local: []netip.Addr{netip.MustParseAddr("198.51.100.1")}}
	for text, want := range map[string]bool{
		"203.0.113.1:49152": true, "203.0.113.1:49231": true, "203.0.113.1:49232": false, "203.0.113.1:53": false,
		"198.51.100.1:53": false, "203.0.113.2:53": true, "127.0.0.1:49152": false,
	} {
		if got := s.maySend(netip.MustParseAddrPort(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestQuota(t *testing.T) {
	s := listen(t, func(c *Config) { c.AllowPrivate = true; c.MaxAllocations = 2 })
	first := allocate(t, s.forJob(t, someJob))
	allocate(t, s.forJob(t, someJob))
	if conn, err := s.forJob(t, someJob).Allocate(); err == nil {
		_ = conn.Close()
		t.Fatal("a third allocation was made")
	}
	allocate(t, s.forJob(t, "01ARZ3NDEKTSV4RRFFQ69G5FAX")) // another job's
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	p := party{job: someJob, owner: "x", remote: netip.MustParseAddrPort("192.0.2.1:1")}
	for end := time.Now().Add(time.Minute); s.usage.full(p); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a closed allocation is still counted")
		}
	}
	allocate(t, s.forJob(t, someJob))
}

// TestRateIsCapped counts the bytes of a flood that pass.
func TestRateIsCapped(t *testing.T) {
	s := listen(t, func(c *Config) { c.AllowPrivate = true; c.JobKbps = 8 })
	conn := allocate(t, s.forJob(t, someJob))
	peer := packetConn(t)
	packet := make([]byte, 1000)
	for range 200 {
		if _, err := conn.WriteTo(packet, peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	wait := time.Now().Add(5 * time.Second)
	for value(t, s.metrics.bytes)+value(t, s.metrics.dropped) < 200_000*0.9 && time.Now().Before(wait) {
		time.Sleep(time.Millisecond)
	}
	// The limit is 64 KiB at once and 1 kB a second.
	if got := value(t, s.metrics.bytes); got < 60_000 || got > 75_000 {
		t.Errorf("%v bytes passed", got)
	}
	if value(t, s.metrics.dropped) == 0 {
		t.Error("nothing was dropped")
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]Config{
		"no secret":              {PublicIPs: []netip.Addr{loopback}},
		"no address":             {Secret: make([]byte, 16)},
		"an unspecified address": {Secret: make([]byte, 16), PublicIPs: []netip.Addr{netip.IPv4Unspecified()}},
		"one address twice":      {Secret: make([]byte, 16), PublicIPs: []netip.Addr{loopback, loopback}},
		"two families":           {Secret: make([]byte, 16), PublicIPs: []netip.Addr{loopback, netip.IPv6Loopback()}},
		"TLS without a host":     {Secret: make([]byte, 16), PublicIPs: []netip.Addr{loopback}, TLS: &tls.Config{}},
		"no range":               {Secret: make([]byte, 16), PublicIPs: []netip.Addr{loopback}, MinPort: 2000, MaxPort: 1000},
	} {
		if s, err := Listen(c); err == nil {
			_ = s.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzOpen looks for usernames that panic, and for valid ones that we did not
// make.
func FuzzOpen(f *testing.F) {
	secret, now := []byte("0123456789abcdef"), time.Unix(1_800_000_000, 0)
	good, _ := Credentials(secret, name(secret, someJob, "key:alice"), now.Add(time.Minute))
	f.Add(good)
	f.Add(":")
	f.Add("99999999999999999999:x")
	f.Fuzz(func(t *testing.T, username string) {
		p, password, ok := open(secret, username, now)
		if ok && (p.job == "" || p.owner == "" || password != passwordOf(secret, username) || len(username) > maxUsername) {
			t.Errorf("%q gave %+v", username, p)
		}
	})
}

func value(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var v dto.Metric
	if err := m.Write(&v); err != nil {
		t.Fatal(err)
	}
	return v.GetCounter().GetValue()
}

func addrOf(port int) string {
	return netip.AddrPortFrom(loopback, uint16(port)).String()
}

// certificate is a certificate for localhost, and its roots.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	ca := fronttest.NewCA(t)
	c := ca.TLS("localhost")
	c.RootCAs, c.NextProtos = ca.Pool(), []string{"h2", "http/1.1"}
	return c
}
