package peer

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
)

func hostCandidate(i int, at string) string {
	ap := netip.MustParseAddrPort(at)
	return fmt.Sprintf("candidate:%d 1 udp %d %s %d typ host", i+1, 2130706431-i, ap.Addr(), ap.Port())
}

func TestGate(t *testing.T) {
	address := func(text string) string { return "candidate:1 1 udp 7 " + text + " 4000 typ host" }
	for name, c := range map[string]struct {
		gate      gate
		candidate string
		admitted  bool
	}{
		"public":                           {gate{foreign: true}, address("203.0.113.9"), true},
		"public IPv6":                      {gate{foreign: true}, address("2001:db8::9"), true},
		"as an attribute":                  {gate{foreign: true}, "1 1 udp 7 203.0.113.9 4000 typ srflx raddr 0.0.0.0 rport 9", true},
		"private in a shared network":      {gate{}, address("192.168.1.7"), true},
		"private in a foreign network":     {gate{foreign: true}, address("192.168.1.7"), false},
		"carrier NAT in a foreign network": {gate{foreign: true}, address("100.64.1.7"), false},
		"unique local in a foreign one":    {gate{foreign: true}, address("fd12::7"), false},
		"mapped private":                   {gate{foreign: true}, address("::ffff:10.0.0.1"), false},
		"metadata of a cloud":              {gate{}, address("169.254.169.254"), false},
		"platform of a cloud":              {gate{}, address("168.63.129.16"), false},
		"multicast":                        {gate{}, address("224.0.0.251"), false},
		"broadcast":                        {gate{}, address("255.255.255.255"), false},
		"unspecified":                      {gate{}, address("0.0.0.0"), false},
		"NAT64 of a private address":       {gate{}, address("64:ff9b::a00:1"), false},
		"link-local with a zone":           {gate{}, address("fe80::1%eth0"), false},
		"loopback":                         {gate{}, address("127.0.0.1"), false},
		"loopback between loopbacks":       {gate{loopback: true}, address("127.0.0.1"), true},
		"public between loopbacks":         {gate{loopback: true}, address("203.0.113.9"), false},
		"mDNS name":                        {gate{}, address("0f8d0f8d-0f8d-0f8d-0f8d-0f8d0f8d0f8d.local"), false},
		"TCP":                              {gate{}, "candidate:1 1 tcp 7 203.0.113.9 9 typ host tcptype active", false},
		"without a port":                   {gate{}, "candidate:1 1 udp 7 203.0.113.9 0 typ host", false},
		"of a new type":                    {gate{}, "candidate:1 1 udp 7 203.0.113.9 4000 typ quantum", false},
	} {
		err := c.gate.admit(c.candidate)
		if (err == nil) != c.admitted || err != nil && !errors.Is(err, errUnwanted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&gate{}).admit("garbled"); err == nil || errors.Is(err, errUnwanted) {
		t.Errorf("garbled: %v", err)
	}
}

func TestGateBoundsAddressesAndCandidates(t *testing.T) {
	g := gate{}
	used := 0
	for i := range api.MaxTrickled {
		// Each address twice: a second port does not count.
		err := g.admit(hostCandidate(i, fmt.Sprintf("203.0.113.%d:%d", 1+i/2, 4000+i)))
		if err == nil {
			used++
		} else if !errors.Is(err, errUnwanted) {
			t.Fatal(err)
		}
	}
	if used != 2*maxStrangers {
		t.Errorf("%d candidates of strangers are used", used)
	}
	if err := g.admit(hostCandidate(0, "203.0.113.1:4000")); err == nil || errors.Is(err, errUnwanted) {
		t.Errorf("one candidate more than %d: %v", api.MaxTrickled, err)
	}
}

// targets are UDP sockets that count what they receive.
type targets struct {
	mu    sync.Mutex
	count map[netip.AddrPort]int
}

// listen opens a socket at each address and counts packets until the test ends.
func listen(t *testing.T, addresses ...string) (*targets, []string) {
	t.Helper()
	c := &targets{count: map[netip.AddrPort]int{}}
	var at []string
	for _, a := range addresses {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(a), 0)))
		if err != nil {
			t.Skipf("this machine has no address %s: %v", a, err)
		}
		local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
		local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
		at = append(at, local.String())
		var done sync.WaitGroup
		done.Go(func() {
			for {
				if _, _, err := conn.ReadFromUDPAddrPort(make([]byte, 2048)); err != nil {
					return
				}
				c.mu.Lock()
				c.count[local]++
				c.mu.Unlock()
			}
		})
		t.Cleanup(func() { conn.Close(); done.Wait() })
	}
	return c, at
}

// until waits for a number of addresses that have received at least three
// packets. ICE sends its checks in rounds, so an address without any packet at
// that time gets none later.
func (c *targets) until(t *testing.T, number int) map[string]bool {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c.mu.Lock()
		all := maps.Clone(c.count)
		c.mu.Unlock()
		reached, thrice := map[string]bool{}, 0
		for at, n := range all {
			reached[at.Addr().String()] = true
			if n >= 3 {
				thrice++
			}
		}
		if thrice >= number {
			return reached
		}
		if time.Now().After(end) {
			t.Fatalf("%d addresses received three packets, want %d: %v", thrice, number, all)
		}
	}
}

// with returns the description with further candidates.
func (d Description) with(candidates ...string) Description {
	return Description(strings.TrimSuffix(string(d), "\r\n") + "\r\na=" + strings.Join(candidates, "\r\na=") + "\r\n")
}

// TestInventedCandidatesReachFew gives an agent an offer with candidates at the
// addresses of strangers, and counts the packets that these receive.
func TestInventedCandidatesReachFew(t *testing.T) {
	var addresses []string
	for i := range 20 {
		addresses = append(addresses, fmt.Sprintf("127.0.7.%d", i+1))
	}
	counted, at := listen(t, addresses...)
	offer, err := NewOffer(t.Context(), Config{Loopback: true}, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	var invented []string
	for i := range 350 {
		invented = append(invented, hostCandidate(i, at[i%len(at)]))
	}
	if conn, _, err := NewAnswer(t.Context(), Config{Loopback: true}, offer.Description().with(invented...), allowAll); err == nil {
		conn.Close()
		t.Error("an offer with 350 candidates is answered")
	} else if !strings.Contains(err.Error(), "more than 32 candidates") {
		t.Error(err)
	}
	own := len(offer.Description().candidates())
	conn, _, err := NewAnswer(t.Context(), Config{Loopback: true}, offer.Description().with(invented[:len(at)]...), allowAll)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if reached := counted.until(t, maxStrangers-own); len(reached) > maxStrangers {
		t.Errorf("packets went to %d strangers: %v", len(reached), slices.Sorted(maps.Keys(reached)))
	}
}

// TestOwnCandidatesAreBounded checks that the other end accepts all candidates that
// this end sends.
func TestOwnCandidatesAreBounded(t *testing.T) {
	tr := &Trickle{offered: map[string]bool{}, changed: make(chan struct{})}
	text := sdpHead
	for i := range 100 {
		text += "a=" + hostCandidate(i, fmt.Sprintf("203.0.113.%d:4000", i+1)) + "\r\n"
	}
	d, err := tr.begin(Description(text))
	if err != nil {
		t.Fatal(err)
	}
	tr.gathered(nil)
	if total := len(d.candidates()) + len(tr.local); total != api.MaxTrickled || len(tr.local) != 1 {
		t.Errorf("%d candidates in the description, %d trickle", len(d.candidates()), len(tr.local))
	}
}
