package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/farforge/farforge/common/api"
)

// silent returns a STUN and TURN server that never answers, over UDP and TCP.
func silent(t testing.TB) []api.ICEServer {
	t.Helper()
	// Its address differs from the peers', because packets from a relay's address
	// are held back.
	udp, err := net.ListenPacket("udp4", "127.0.0.2:0")
	if err != nil {
		t.Skipf("only one loopback address: %v", err)
	}
	tcp, err := net.Listen("tcp4", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = udp.Close(), tcp.Close() })
	at := udp.LocalAddr().String()
	return []api.ICEServer{{URLs: []string{"stun:" + at}}, {
		URLs:     []string{"turn:" + at + "?transport=udp", "turn:" + at + "?transport=tcp"},
		Username: "x", Credential: "y",
	}}
}

// carry passes candidates from one end to the other until ctx ends, and sends
// their number after the last one.
func carry(ctx context.Context, t testing.TB, from, to *Trickle) <-chan int {
	n := make(chan int, 1)
	go func() {
		for i := 0; ; i++ {
			c, err := from.Local(ctx, i)
			if err != nil {
				n <- i
				return
			}
			if _, err := to.Remote(c); err != nil {
				t.Error(err)
			}
		}
	}()
	return n
}

// TestNothingWaitsForGathering connects with servers that never answer. Offer and
// answer must be complete while both ends still gather.
func TestNothingWaitsForGathering(t *testing.T) {
	cfg := Config{Loopback: true, Trickle: true, ICEServers: silent(t)}
	offer, err := NewOffer(t.Context(), cfg, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	if got := offer.conn.pc.ICEGatheringState(); got != webrtc.ICEGatheringStateGathering {
		t.Errorf("with the offer out the client is %v", got)
	}
	if text := offer.Description(); !strings.Contains(string(text), "typ host") || !text.Trickles() {
		t.Errorf("the offer has no host candidate, or does not say that more follow:\n%s", text)
	}
	conn, answer, err := NewAnswer(t.Context(), cfg, offer.Description(), func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.pc.ICEGatheringState(); got != webrtc.ICEGatheringStateGathering {
		t.Errorf("with the answer out the agent is %v", got)
	}
	client, err := offer.Connect(t.Context(), answer)
	if err != nil {
		t.Fatal(err)
	}
	if got := client.pc.ICEGatheringState(); got != webrtc.ICEGatheringStateGathering {
		t.Errorf("connected, the client is %v", got)
	}
	start := time.Now()
	if err := errors.Join(client.Close(), conn.Close()); err != nil {
		t.Error(err)
	}
	// A wait for the servers takes 5 s for STUN, and longer for TURN.
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("closing waited %v for servers that do not answer", took)
	}
}

// TestTrickledCandidatesConnect leaves the descriptions without any candidate.
func TestTrickledCandidatesConnect(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := Config{Loopback: true, Trickle: true}
	bare := func(d Description) Description {
		var kept []string
		for line := range strings.Lines(string(d)) {
			if !strings.HasPrefix(line, "a=candidate:") && !strings.HasPrefix(line, "a=end-of-candidates") {
				kept = append(kept, line)
			}
		}
		return Description(strings.Join(kept, "")).announceTrickle()
	}
	offer, err := NewOffer(ctx, cfg, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	conn, answer, err := NewAnswer(ctx, cfg, bare(offer.Description()), func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// All candidates trickle now.
	for _, c := range []*Conn{offer.conn, conn} {
		again(c)
	}
	up := carry(ctx, t, offer.Trickle(), conn.Trickle())
	down := carry(ctx, t, conn.Trickle(), offer.Trickle()) // some of it before the answer
	client, err := offer.Connect(ctx, bare(answer))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if n, m := <-up, <-down; n < 2 || m < 2 { // one candidate, and the end
		t.Errorf("%d candidates up, %d down", n, m)
	}
	if client.Relayed() || conn.Relayed() {
		t.Error("a connection on loopback calls itself relayed")
	}
}

// again makes all candidates trickle, those in the description too.
func again(c *Conn) {
	d, t := Description(c.pc.LocalDescription().SDP), c.trickle
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offered = map[string]bool{}
	for _, candidate := range d.candidates() {
		t.add(webrtc.ICECandidateInit{Candidate: candidate})
	}
	t.add(webrtc.ICECandidateInit{})
	t.ended = true
	t.wake()
}

// TestVanillaPeers: an end that does not trickle gets descriptions with all
// candidates, which say so.
func TestVanillaPeers(t *testing.T) {
	for name, c := range map[string]struct{ client, agent bool }{
		"the client": {false, true}, "the agent": {true, false}, "both": {false, false},
	} {
		t.Run(name, func(t *testing.T) {
			offer, err := NewOffer(t.Context(), Config{Loopback: true, Trickle: c.client}, []string{"espctl"})
			if err != nil {
				t.Fatal(err)
			}
			conn, answer, err := NewAnswer(t.Context(), Config{Loopback: true, Trickle: c.agent}, offer.Description(), func(string) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if !c.client && offer.Description().Trickles() || answer.Trickles() {
				t.Error("more candidates are promised than can follow")
			}
			client, err := offer.Connect(t.Context(), answer)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
		})
	}
}

func TestForeignCandidatesAreRefused(t *testing.T) {
	cfg := Config{Loopback: true, Trickle: true}
	offer, err := NewOffer(t.Context(), cfg, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	conn, _, err := NewAnswer(t.Context(), cfg, offer.Description(), func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	good := `{"candidate":"candidate:1 1 udp 1 203.0.113.9 9 typ host","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"` + offer.Description().ufrag() + `"}`
	for name, c := range map[string]string{
		"no JSON": "candidate:1", "nameless": `{"candidate":""}`, "of another session": `{"candidate":"","usernameFragment":"guess"}`,
		"too long": `{"candidate":"` + strings.Repeat("x", api.MaxCandidate) + `"}`,
		"garbled":  strings.Replace(good, "203.0.113.9", "everywhere at once", 1),
	} {
		if _, err := conn.Trickle().Remote([]byte(c)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := conn.Trickle().Remote([]byte(good)); err != nil {
		t.Error(err)
	}
	// Before the answer, the offer keeps candidates up to a limit.
	for i := 0; ; i++ {
		if _, err := offer.Trickle().Remote([]byte(good)); err != nil {
			if i != api.MaxTrickled {
				t.Errorf("after %d: %v", i, err)
			}
			break
		}
	}
}

func TestLocalEnds(t *testing.T) {
	offer, err := NewOffer(t.Context(), Config{Loopback: true, Trickle: true, ICEServers: silent(t)}, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := offer.Trickle().Local(ctx, 99); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := offer.Close(); err != nil {
		t.Error(err)
	}
	all, err := NewOffer(t.Context(), Config{Loopback: true}, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	if c, err := all.Trickle().Local(t.Context(), 0); !errors.Is(err, io.EOF) {
		t.Errorf("after a complete description, Local returns %s, %v", c, err)
	}
}

func TestHideLocal(t *testing.T) {
	for in, want := range map[string]string{
		"candidate:1 1 udp 7 192.168.1.7 4000 typ host":                              "",
		"candidate:1 1 udp 7 100.64.1.7 4000 typ host":                               "",
		"candidate:1 1 udp 7 fd12::1 4000 typ host":                                  "",
		"candidate:1 1 udp 7 fe80::1 4000 typ host":                                  "",
		"candidate:1 1 udp 7 0f8d.local 4000 typ host":                               "",
		"candidate:1 1 udp 7 203.0.113.9 4000 typ host ufrag abc":                    "candidate:1 1 udp 7 203.0.113.9 4000 typ host ufrag abc",
		"candidate:1 1 udp 7 203.0.113.9 4711 typ srflx raddr 10.0.0.2 rport 4000":   "candidate:1 1 udp 7 203.0.113.9 4711 typ srflx raddr 0.0.0.0 rport 9",
		"candidate:1 1 udp 7 2001:db8::9 4711 typ srflx raddr fd00::2 rport 4000":    "candidate:1 1 udp 7 2001:db8::9 4711 typ srflx raddr :: rport 9",
		"candidate:1 1 udp 7 203.0.113.1 49152 typ relay raddr 10.0.0.2 rport 50000": "candidate:1 1 udp 7 203.0.113.1 49152 typ relay raddr 0.0.0.0 rport 9",
		"": "",
	} {
		got, ok := hideLocal(in)
		if got != want || ok != (want != "" || in == "") {
			t.Errorf("%s became %q, %v", in, got, ok)
		}
	}
}

// TestHiddenOffer makes an offer at an end that has only local addresses; the other
// end learns none of them.
func TestHiddenOffer(t *testing.T) {
	offer, err := NewOffer(t.Context(), Config{Loopback: true, HideLocal: true}, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	if text := string(offer.Description()); strings.Contains(text, "a=candidate") || strings.Contains(text, "127.0.0.1 ") {
		t.Errorf("the offer shows a loopback address:\n%s", text)
	}
	for i := 0; ; i++ {
		c, err := offer.Trickle().Local(t.Context(), i)
		if err != nil {
			break
		}
		if strings.Contains(string(c), "127.0.0.1") {
			t.Errorf("trickled %s", c)
		}
	}
}

func FuzzRemote(f *testing.F) {
	f.Add([]byte(`{"candidate":"candidate:1 1 udp 1 203.0.113.9 9 typ relay raddr 0.0.0.0 rport 9","usernameFragment":"u"}`))
	f.Add([]byte(`{"candidate":"","usernameFragment":"u"}`))
	offer, err := NewOffer(f.Context(), Config{Loopback: true}, []string{"espctl"})
	if err != nil {
		f.Fatal(err)
	}
	conn, _, err := NewAnswer(f.Context(), Config{Loopback: true}, offer.Description(), func(string) error { return nil })
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _, _ = offer.Close(), conn.Close() })
	conn.trickle.ufrag = "u"
	f.Fuzz(func(t *testing.T, candidate []byte) {
		_, _ = conn.Trickle().Remote(candidate)
		_, _ = hideLocal(string(candidate))
	})
}

// BenchmarkSetUp measures the time to an open channel on loopback, with and without
// servers that never answer.
func BenchmarkSetUp(b *testing.B) {
	for name, servers := range map[string][]api.ICEServer{"none": nil, "silent": silent(b)} {
		b.Run(name, func(b *testing.B) {
			cfg := Config{Loopback: true, Trickle: true, ICEServers: servers}
			for b.Loop() {
				offer, err := NewOffer(b.Context(), cfg, []string{"espctl"})
				if err != nil {
					b.Fatal(err)
				}
				conn, answer, err := NewAnswer(b.Context(), cfg, offer.Description(), func(string) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
				client, err := offer.Connect(b.Context(), answer)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := client.Channel(b.Context(), "espctl"); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				_, _ = client.Close(), conn.Close()
				b.StartTimer()
			}
		})
	}
}

// TestCloseWhileGathering: closing an offer at once must not wait for its own
// candidates.
func TestCloseWhileGathering(t *testing.T) {
	for range 200 {
		offer, err := NewOffer(t.Context(), Config{Loopback: true, Trickle: true}, []string{"espctl"})
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan error, 1)
		go func() { closed <- offer.Close() }()
		select {
		case err := <-closed:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it does not close")
		}
	}
}
