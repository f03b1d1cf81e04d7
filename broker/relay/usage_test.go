package relay

import (
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

func TestUsageIsBounded(t *testing.T) {
	at := func(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }
	u := newUsage(2, 3, rate.Inf)
	first := party{"job1", "alice", at("192.0.2.1:1")}
	for _, tt := range []struct {
		p    party
		full bool
	}{
		{first, false}, {first, false}, {first, true}, // the job's
		{party{"job2", "alice", at("198.51.100.1:1")}, false},
		{party{"job3", "alice", at("203.0.113.1:1")}, true},    // the user's
		{party{"job4", "bob", at("192.0.2.99:1")}, false},      // the third of this network
		{party{"job5", "carol", at("192.0.2.200:7")}, true},    // the network's
		{party{"job5", "carol", at("[2001:db8::1]:7")}, false}, // another network
	} {
		if full := u.full(tt.p); full != tt.full {
			t.Errorf("%+v: full %v, want %v", tt.p, full, tt.full)
		}
		if _, err := u.take(tt.p); (err != nil) != tt.full {
			t.Errorf("%+v: %v", tt.p, err)
		}
	}
	u.give(first)
	if u.full(first) {
		t.Error("an allocation that has ended still counts")
	}
	for _, p := range []party{first, {"job2", "alice", at("198.51.100.1:1")}, {"job4", "bob", at("192.0.2.99:1")}, {"job5", "carol", at("[2001:db8::1]:7")}} {
		u.give(p)
	}
	if len(u.jobs)+len(u.owners)+len(u.networks) != 0 {
		t.Errorf("ended allocations are still counted: %+v", u)
	}
}

func TestUserIDs(t *testing.T) {
	p := party{"job", "owner", netip.MustParseAddrPort("[2001:db8::1]:7")}
	if got, err := parseParty(p.String()); err != nil || got != p {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"", "a b", "a b c", "a b 192.0.2.1:1 d"} {
		if _, err := parseParty(text); err == nil {
			t.Errorf("%q is a user id", text)
		}
	}
}

// Half of the ports stay free for others, however many jobs a user or a network
// has: seven grants of one user took all.
func TestOneUserLeavesPortsToOthers(t *testing.T) {
	s := listen(t, func(c *Config) { c.AllowPrivate = true; c.MinPort, c.MaxPort = 43000, 43015; c.MaxAllocations = 4 })
	if s.cfg.MaxPerParty != 8 {
		t.Fatalf("a user may have %d allocations", s.cfg.MaxPerParty)
	}
	from := func(ip, jobID, owner string) error {
		conn, err := net.ListenPacket("udp4", ip+":0")
		if err != nil {
			t.Fatal(err)
		}
		username, password := Credentials(s.cfg.Secret, name(s.cfg.Secret, jobID, owner), time.Now().Add(time.Minute))
		client := s.client(t, conn, s.corners[0][0].LocalAddr().String(), username, password)
		relayed, err := client.Allocate()
		if err == nil {
			t.Cleanup(func() { _ = relayed.Close() })
		}
		return err
	}
	got := 0
	for _, job := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		for i := range 4 {
			if from([]string{"127.0.0.1", "127.0.1.1", "127.0.2.1", "127.0.3.1"}[i], job, "key:alice") == nil {
				got++
			}
		}
	}
	if got != 8 {
		t.Errorf("alice has %d allocations from four networks", got)
	}
	for range 4 {
		if err := from("127.9.0.1", "8", "key:bob"); err != nil {
			t.Errorf("bob: %v", err)
		}
	}
	if n := value(t, s.metrics.refusals.WithLabelValues("quota")); n < 20 {
		t.Errorf("%v refusals counted", n)
	}
}

// EVEN-PORT makes pion look for a port without a user. It must find none, because
// the port would count for no user.
func TestEvenPortsAreRefused(t *testing.T) {
	s := listen(t, func(c *Config) { c.AllowPrivate = true })
	if _, _, err := (generator{s: s}).AllocatePacketConn(turn.AllocateListenerConfig{Network: "udp4"}); err == nil {
		t.Error("a port without a user was opened")
	}
}

// TestMetricsAreInTheManual compares the metrics with those in doc/operating.md.
func TestMetricsAreInTheManual(t *testing.T) {
	page, err := os.ReadFile("../../doc/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	r := prometheus.NewRegistry()
	newMetrics(r)
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		r.Describe(descs)
	}()
	name, served := regexp.MustCompile(`fqName: "(\w+)"`), map[string]bool{}
	for d := range descs {
		n := name.FindStringSubmatch(d.String())[1]
		if served[n] = true; !strings.Contains(string(page), "`"+n+"`") {
			t.Errorf("the page lacks %s", n)
		}
	}
	for _, n := range regexp.MustCompile("`(farforge_relay_\\w+)`").FindAllStringSubmatch(string(page), -1) {
		if !served[n[1]] {
			t.Errorf("the page has %s, which does not exist", n[1])
		}
	}
}
