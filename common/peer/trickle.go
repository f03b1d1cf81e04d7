package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/farforge/farforge/common/api"
)

// hostTime bounds the wait for host candidates, which are there within a
// millisecond or two unless an address cannot be bound to. What is later
// trickles.
const hostTime = 250 * time.Millisecond

// Trickle is the candidates of a connection that come and go by themselves,
// after offer and answer (RFC 8838). A candidate is the JSON that browsers make
// of an RTCIceCandidate. Its methods are safe for concurrent use.
type Trickle struct {
	pc   *webrtc.PeerConnection
	hide bool

	mu       sync.Mutex
	local    [][]byte // what the description did not have
	told     map[string]bool
	begun    bool
	ended    bool
	changed  chan struct{} // closed at each change of local
	hosts    map[netip.Addr]bool
	hostDone chan struct{}
	own      string // name of this end's ICE session
	ufrag    string // of the other end; empty: its description has not come
	pending  []webrtc.ICECandidateInit
	relays   map[netip.AddrPort]bool // the other end's
	early    []webrtc.ICECandidateInit
}

func newTrickle(pc *webrtc.PeerConnection, cfg Config, hosts map[netip.Addr]bool) *Trickle {
	t := &Trickle{
		pc: pc, hide: cfg.HideLocal, hosts: hosts, told: map[string]bool{},
		changed: make(chan struct{}), hostDone: make(chan struct{}), relays: map[netip.AddrPort]bool{},
	}
	pc.OnICECandidate(t.gathered)
	return t
}

// gathered is called for each local candidate, and with nil at the end.
func (t *Trickle) gathered(c *webrtc.ICECandidate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c == nil {
		t.ended = true
		t.add(webrtc.ICECandidateInit{})
		return
	}
	if ip, err := netip.ParseAddr(c.Address); err == nil && c.Typ == webrtc.ICECandidateTypeHost && t.hosts[ip] {
		if delete(t.hosts, ip); len(t.hosts) == 0 {
			close(t.hostDone)
		}
	}
	t.add(c.ToJSON())
}

// add must be called with the lock held. Before begin it only collects, as what
// is to trickle is not known yet.
func (t *Trickle) add(c webrtc.ICECandidateInit) {
	if !t.begun {
		t.early = append(t.early, c)
		return
	}
	if t.hide && c.Candidate != "" {
		var ok bool
		if c.Candidate, ok = hideLocal(c.Candidate); !ok {
			return
		}
	}
	if t.told[c.Candidate] {
		return
	}
	t.told[c.Candidate] = true
	mid, line := "0", uint16(0)
	if c.SDPMid == nil || *c.SDPMid == "" {
		c.SDPMid = &mid
	}
	if c.SDPMLineIndex == nil {
		c.SDPMLineIndex = &line
	}
	own := t.own
	c.UsernameFragment = &own
	data, err := json.Marshal(c)
	if err != nil {
		return // four strings
	}
	t.local = append(t.local, data)
	close(t.changed)
	t.changed = make(chan struct{})
}

// begin tells which description the other end gets: what is in it does not
// trickle.
func (t *Trickle) begin(description string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range strings.Lines(description) {
		line = strings.TrimSpace(line)
		if value, ok := strings.CutPrefix(line, "a=candidate:"); ok {
			t.told["candidate:"+value] = true
		}
		if line == "a=end-of-candidates" {
			t.told[""] = true
		}
	}
	t.begun = true
	// Taken here, because add is called from gathering, for whose end a closing
	// connection waits under the lock that LocalDescription takes.
	t.own = ufragOf(description)
	for _, c := range t.early {
		t.add(c)
	}
	t.early = nil
}

// Local waits for the candidate with the index i, from 0, of those that the
// description did not have. The last one says that there are no more; after it
// comes io.EOF. It returns the context's error when that ends.
func (t *Trickle) Local(ctx context.Context, i int) ([]byte, error) {
	for {
		t.mu.Lock()
		changed := t.changed
		if i < len(t.local) {
			defer t.mu.Unlock()
			return t.local[i], nil
		}
		over := t.ended && t.begun
		t.mu.Unlock()
		if over {
			return nil, io.EOF
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Remote takes a candidate of the other end, also before that end's
// description. It must name the description's ICE session, whose name nobody
// who has not read the description knows. last tells that it says that no more
// follow.
func (t *Trickle) Remote(candidate []byte) (last bool, err error) {
	var c webrtc.ICECandidateInit
	if len(candidate) > api.MaxCandidate {
		return false, fmt.Errorf("take a candidate: it is %d bytes long, at most %d are allowed", len(candidate), api.MaxCandidate)
	}
	if err := json.Unmarshal(candidate, &c); err != nil {
		return false, fmt.Errorf("take a candidate: it is none: %w", err)
	}
	if c.UsernameFragment == nil {
		return false, fmt.Errorf("take a candidate: it does not name its session (usernameFragment)")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ufrag == "" {
		if len(t.pending) >= api.MaxTrickled {
			return false, fmt.Errorf("take a candidate: more than %d came before the description", api.MaxTrickled)
		}
		t.pending = append(t.pending, c)
		return c.Candidate == "", nil
	}
	return c.Candidate == "", t.take(c)
}

// take must be called with the lock held.
func (t *Trickle) take(c webrtc.ICECandidateInit) error {
	if *c.UsernameFragment != t.ufrag {
		return fmt.Errorf("take a candidate: it belongs to another session")
	}
	t.note(c.Candidate)
	if err := t.pc.AddICECandidate(c); err != nil {
		return fmt.Errorf("take a candidate: %w", err)
	}
	return nil
}

// described is called when the other end's description is set.
func (t *Trickle) described(description string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range strings.Lines(description) {
		if value, ok := strings.CutPrefix(line, "a=candidate:"); ok {
			t.note("candidate:" + value)
		}
	}
	t.ufrag = ufragOf(description)
	for _, c := range t.pending {
		// One that is wrong must not cost the others.
		_ = t.take(c)
	}
	t.pending = nil
}

// note remembers the other end's relays, so that their packets are known even
// where ICE has met them before it was told of them.
func (t *Trickle) note(candidate string) {
	fields := strings.Fields(candidate)
	if len(fields) < 8 || fields[7] != "relay" {
		return
	}
	if at, err := netip.ParseAddrPort(net.JoinHostPort(fields[4], fields[5])); err == nil {
		t.relays[at] = true
	}
}

func (t *Trickle) isRelay(address string, port uint16) bool {
	ip, err := netip.ParseAddr(address)
	t.mu.Lock()
	defer t.mu.Unlock()
	return err == nil && t.relays[netip.AddrPortFrom(ip, port)]
}

// ufragOf returns the name of the ICE session in a description.
func ufragOf(description string) string {
	for line := range strings.Lines(description) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "a=ice-ufrag:"); ok {
			return value
		}
	}
	return ""
}

// Trickles tells whether more candidates may follow an offer or answer.
func Trickles(description []byte) bool {
	var d webrtc.SessionDescription
	return json.Unmarshal(description, &d) == nil && trickles(d.SDP)
}

// trickles tells whether more candidates may follow a description: its maker
// says that it can (RFC 8838, section 4.1.1), and not that all are there.
func trickles(description string) bool {
	can, all := false, false
	for line := range strings.Lines(description) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "a=ice-options:"):
			can = can || strings.Contains(line, "trickle")
		case line == "a=end-of-candidates":
			all = true
		}
	}
	return can && !all
}
