package peer

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// tap forwards packets between one end, which has an address, and another, which
// sends the first packet, and keeps the first packets with a ClientHello.
type tap struct {
	conn *net.UDPConn
	near netip.AddrPort

	mu     sync.Mutex
	hellos [][]byte
}

func newTap(t *testing.T) *tap {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return &tap{conn: conn}
}

// insert returns the description with the tap in place of its first candidate's
// address and without others, and starts to forward.
func (x *tap) insert(t *testing.T, d Description) Description {
	t.Helper()
	candidates := d.candidates()
	if len(candidates) == 0 {
		t.Fatalf("no candidate in\n%s", d)
	}
	fields := strings.Fields(candidates[0])
	x.near = netip.MustParseAddrPort(net.JoinHostPort(fields[4], fields[5]))
	var done sync.WaitGroup
	done.Go(x.forward)
	t.Cleanup(func() { x.conn.Close(); done.Wait() })
	own := x.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	text := regexp.MustCompile(`a=candidate:.*\r\n`).ReplaceAllString(string(d), "")
	return Description(text).with(hostCandidate(0, own.String()))
}

func (x *tap) forward() {
	var far netip.AddrPort
	for buf := make([]byte, 2048); ; {
		n, from, err := x.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		to := x.near
		if from == x.near {
			to = far
		} else {
			far = from
		}
		if n > fragmentContent && buf[0] == 22 && buf[recordHeader] == 1 {
			x.mu.Lock()
			x.hellos = append(x.hellos, slices.Clone(buf[:n]))
			x.mu.Unlock()
		}
		if to.IsValid() {
			_, _ = x.conn.WriteToUDPAddrPort(buf[:n], to)
		}
	}
}

// without returns the description without candidates.
func (d Description) without() Description {
	out, _ := d.edit(func(string) (string, bool, error) { return "", false, nil })
	return out
}

// shown is a ClientHello as the network sees it.
type shown struct {
	versions   []string // of the records
	lengths    []int    // of the packets
	suites     []byte
	extensions map[uint16][]byte
	order      []uint16
}

// read puts the fragments of a ClientHello together.
func read(t *testing.T, packets [][]byte) shown {
	t.Helper()
	var s shown
	var message []byte
	for _, p := range packets {
		offset := u24(p[fragmentOffset:])
		if offset != len(message) {
			break // the next ClientHello
		}
		message = append(message, p[fragmentContent:]...)
		s.versions = append(s.versions, fmt.Sprintf("%x", p[recordVersion:recordVersion+2]))
		s.lengths = append(s.lengths, len(p))
		if len(p)-recordHeader != int(binary.BigEndian.Uint16(p[recordLength:])) || len(p)-fragmentContent != u24(p[fragmentLength:]) {
			t.Errorf("the headers of a packet of %d bytes give other lengths", len(p))
		}
		if len(message) == u24(p[recordHeader+1:]) {
			break
		}
	}
	rest := message[34:]         // after version and random
	rest = rest[1+int(rest[0]):] // session
	rest = rest[1+int(rest[0]):] // cookie
	n := int(binary.BigEndian.Uint16(rest))
	s.suites = rest[2 : 2+n]
	rest = rest[2+n:]
	rest = rest[1+int(rest[0]):] // compression
	rest = rest[2:]
	s.extensions = map[uint16][]byte{}
	for len(rest) > 0 {
		kind, n := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		s.extensions[kind] = rest[4 : 4+n]
		s.order = append(s.order, kind)
		rest = rest[4+n:]
	}
	return s
}

// tapped connects two ends through a tap and returns the ClientHello.
func tapped(t *testing.T, client, agent Config) shown {
	t.Helper()
	client.Loopback, agent.Loopback = true, true
	offer, err := NewOffer(t.Context(), client, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	conn, answer, err := NewAnswer(t.Context(), agent, offer.Description().without(), allowAll)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	x := newTap(t)
	joined, err := offer.Connect(t.Context(), x.insert(t, answer))
	if err != nil {
		t.Fatal(err)
	}
	open(t, joined, "espctl")
	if err := joined.Close(); err != nil {
		t.Error(err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return read(t, x.hellos)
}

func TestClientHelloLooksLikeABrowsers(t *testing.T) {
	orders := map[string]bool{}
	for range 5 {
		s := tapped(t, Config{}, Config{})
		// As captured from Chromium 156; examples/browser compares with the one
		// that is installed.
		if !slices.Equal(s.lengths, []int{1200, 263}) || !slices.Equal(s.versions, []string{"feff", "feff"}) {
			t.Errorf("packets of %d bytes with versions %s", s.lengths, s.versions)
		}
		if got := fmt.Sprintf("%x", s.suites); got != "130113021303c02bc02fcca9cca8c009c013c00ac014009c002f0035" {
			t.Errorf("cipher suites %s", got)
		}
		kinds := slices.Sorted(slices.Values(s.order))
		if got := fmt.Sprintf("%04x", kinds); got != "[000a 000b 000d 000e 0017 002b 002d 0033 ff01]" {
			t.Errorf("extensions %s", got)
		}
		orders[fmt.Sprint(s.order)] = true
	}
	if len(orders) < 2 {
		t.Errorf("five connections have one order of extensions: %v", orders)
	}
}

// TestPlainDTLS: the switch at either end brings pion's own ClientHello back, and
// the two ends still connect.
func TestPlainDTLS(t *testing.T) {
	for name, c := range map[string]struct {
		client, agent Config
		browser       bool
	}{
		"agent":  {Config{}, Config{PlainDTLS: true}, false},
		"both":   {Config{PlainDTLS: true}, Config{PlainDTLS: true}, false},
		"client": {Config{PlainDTLS: true}, Config{}, true}, // the agent sends the ClientHello
	} {
		t.Run(name, func(t *testing.T) {
			_, browser := tapped(t, c.client, c.agent).extensions[0x33]
			if browser != c.browser {
				t.Errorf("a browser's ClientHello: %v", browser)
			}
		})
	}
}

// TestOthersSendTheirOwnClientHello: an offer of another program, which may choose
// DTLS 1.3, is answered as the DTLS server.
func TestOthersSendTheirOwnClientHello(t *testing.T) {
	offer, err := NewOffer(t.Context(), Config{Loopback: true}, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	other := Description(strings.Replace(string(offer.Description()), "a="+dtls12Attribute+"\r\n", "", 1))
	for d, want := range map[Description]string{
		offer.Description(): "a=setup:active", other: "a=setup:passive",
		Description(strings.Replace(string(other), "a=setup:actpass", "a=setup:passive", 1)): "a=setup:active",
	} {
		conn, answer, err := NewAnswer(t.Context(), Config{Loopback: true}, d, allowAll)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(answer), want) {
			t.Errorf("the answer lacks %s:\n%s", want, answer)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzHelloPacket(f *testing.F) {
	f.Add([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 7}, []byte{})
	f.Fuzz(func(t *testing.T, p, tail []byte) {
		h := &hello{tail: tail}
		h.browser.Store(true)
		if out := h.packet(p); len(out) > len(p)+len(tail) {
			t.Errorf("%d bytes became %d", len(p), len(out))
		}
	})
}
