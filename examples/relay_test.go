package examples_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"

	"github.com/farforge/farforge/common/api"
)

// relayed is a farm whose broker has a relay and the users alice and bob.
type relayed struct {
	*farm
	keys map[string]string
}

func newRelayed(t *testing.T) *relayed {
	t.Helper()
	r := &relayed{keys: map[string]string{}}
	f := &farm{t: t, dir: t.TempDir()}
	for _, name := range []string{"alice", "bob"} {
		out, err := exec.Command(filepath.Join(programs, "broker"), "users", "add", name, "--users", f.path("users")).Output()
		if err != nil {
			t.Fatal(err)
		}
		r.keys[name] = strings.TrimSpace(string(out))
	}
	f.flags = []string{"--users", f.path("users"), "--relay", "--relay-allow-private", "--relay-public-ip", "127.0.0.1",
		"--relay-port", "0", "--relay-ports", "44000-44079"}
	r.farm = startFarm(f, "anvil")
	return r
}

// grant requests a grant and returns the relay's URLs and credentials in it.
func (r *relayed) grant(user string) api.ICEServer {
	r.t.Helper()
	body, err := json.Marshal(&api.GrantRequest{
		PeerFingerprint: strings.TrimSuffix(strings.Repeat("AB:", 32), ":"), RequiredChannels: []string{"espctl"},
		CPUCores: 1, MemoryMB: 1, TimeoutSecs: 1,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	var granted api.GrantResponse
	eventually(r.t, "an agent is idle", func() bool {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+api.PathGrantRequest, bytes.NewReader(body))
		if err != nil {
			r.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+r.keys[user])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			r.t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(&granted) == nil
	})
	for _, s := range granted.ICEServers {
		if s.Username != "" {
			return s
		}
	}
	r.t.Fatalf("the grant has no relay: %+v", granted.ICEServers)
	return api.ICEServer{}
}

// address returns the relay's address for a transport.
func (r *relayed) address(s api.ICEServer, transport string) string {
	for _, url := range s.URLs {
		if at, ok := strings.CutSuffix(url, "?transport="+transport); ok {
			return strings.TrimPrefix(at, "turn:")
		}
	}
	r.t.Fatalf("no %s in %v", transport, s.URLs)
	return ""
}

// allocate makes an allocation over a connection to the relay, until the test
// ends, and tells whether that worked.
func (r *relayed) allocate(s api.ICEServer, conn net.PacketConn, server string) error {
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: server, STUNServerAddr: server, Username: s.Username, Password: s.Credential, Conn: conn,
		LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close(); _ = conn.Close() })
	relay, err := c.Allocate()
	if err == nil {
		r.t.Cleanup(func() { _ = relay.Close() })
	}
	return err
}

func (r *relayed) allocateUDP(s api.ICEServer, from string) error {
	conn, err := net.ListenPacket("udp4", from+":0")
	if err != nil {
		r.t.Fatal(err)
	}
	return r.allocate(s, conn, r.address(s, "udp"))
}

// TestGrantsDoNotTakeAllPortsOfTheRelay takes all that seven grants without an
// offer give, from several networks.
func TestGrantsDoNotTakeAllPortsOfTheRelay(t *testing.T) {
	r := newRelayed(t)
	got := 0
	for range 7 {
		s := r.grant("alice")
		for i := range 12 {
			if r.allocateUDP(s, fmt.Sprintf("127.0.%d.1", i)) == nil {
				got++
			}
		}
	}
	if open := r.metric("farforge_relay_allocations"); got != 40 || open != 40 {
		t.Errorf("alice has %d allocations, and the relay %v; it has 80 ports", got, open)
	}
	bob := r.grant("bob")
	for i := range 8 {
		if err := r.allocateUDP(bob, "127.1.0.1"); err != nil {
			t.Errorf("allocation %d of bob's: %v", i, err)
		}
	}
}

// TestIdleConnectionsDoNotShutTheRelay opens more than the relay holds, from many
// addresses.
func TestIdleConnectionsDoNotShutTheRelay(t *testing.T) {
	r := newRelayed(t)
	s := r.grant("bob")
	server := r.address(s, "tcp")
	dial := func(from string) net.Conn {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", server)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	var idle []net.Conn
	for i := range 1030 {
		idle = append(idle, dial(fmt.Sprintf("127.0.2.%d", 1+i/10)))
	}
	if err := r.allocate(s, turn.NewSTUNConn(dial("127.0.0.1")), server); err != nil {
		t.Errorf("over TCP, beside %d idle connections: %v", len(idle), err)
	}
	_ = idle[len(idle)-1].SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := idle[len(idle)-1].Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("an idle connection stays open: %v", err)
	}
}
