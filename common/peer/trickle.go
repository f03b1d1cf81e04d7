package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/farforge/farforge/common/api"
)

// hostTime bounds the wait for host candidates, which are there within a
// millisecond or two unless an address cannot be bound to. Later ones trickle.
const hostTime = 250 * time.Millisecond

// Trickle is the candidates of a connection that are exchanged one by one, after
// offer and answer (RFC 8838). A candidate is the JSON that browsers make of an
// RTCIceCandidate. Its methods are safe for concurrent use.
//
// pion calls gathered while it holds locks of its own, and takes these locks in
// its methods. So no method of pion is ever called with mu held.
type Trickle struct {
	hand func(webrtc.ICECandidateInit) error // hands a candidate of the other end to pion
	hide bool
	log  *slog.Logger
	over <-chan struct{} // closed with the connection

	mu       sync.Mutex
	changed  chan struct{}             // closed whenever local, begun or ended changes
	local    [][]byte                  // this end's candidates that its description lacks
	offered  map[string]bool           // this end's candidates that the other end has or gets
	early    []webrtc.ICECandidateInit // gathered before the description was made
	begun    bool                      // the description is made
	ended    bool                      // all candidates are gathered
	hosts    map[netip.Addr]bool       // addresses whose host candidates are still to come
	hostDone chan struct{}             // closed when there are no such addresses
	own      string                    // name of this end's ICE session
	ufrag    string                    // name of the other end's; empty before its description
	pending  []webrtc.ICECandidateInit // the other end's candidates before its description
	gate     gate                      // judges the other end's candidates
	relays   map[netip.AddrPort]bool   // the other end's relays
}

func newTrickle(pc *webrtc.PeerConnection, cfg Config, log *slog.Logger, over <-chan struct{}, hosts map[netip.Addr]bool) *Trickle {
	t := &Trickle{
		hand: pc.AddICECandidate, hide: cfg.HideLocal, log: log, over: over, hosts: hosts, offered: map[string]bool{},
		gate:    gate{loopback: cfg.Loopback, foreign: cfg.HideLocal},
		changed: make(chan struct{}), hostDone: make(chan struct{}), relays: map[netip.AddrPort]bool{},
	}
	pc.OnICECandidate(t.gathered)
	return t
}

// wake lets Local look again. It must be called with the lock held, after each
// change of local, begun or ended.
func (t *Trickle) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// gathered is called for each local candidate, and with nil at the end.
func (t *Trickle) gathered(c *webrtc.ICECandidate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.wake()
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

// add must be called with the lock held. Before begin it only collects the
// candidates, as the description may have them.
func (t *Trickle) add(c webrtc.ICECandidateInit) {
	if !t.begun {
		t.early = append(t.early, c)
		return
	}
	text, ok := t.outgoing(c.Candidate)
	if !ok {
		return
	}
	mid, line, own := "0", uint16(0), t.own
	if c.SDPMid == nil || *c.SDPMid == "" {
		c.SDPMid = &mid
	}
	if c.SDPMLineIndex == nil {
		c.SDPMLineIndex = &line
	}
	c.Candidate, c.UsernameFragment = text, &own
	data, err := json.Marshal(c)
	if err != nil {
		return // it has four strings
	}
	t.local = append(t.local, data)
}

// outgoing returns a candidate of this end as the other end may see it, and
// false for one that it must not see, has already or has no room for. It must be
// called with the lock held.
func (t *Trickle) outgoing(candidate string) (string, bool) {
	if t.hide && candidate != "" {
		var ok bool
		if candidate, ok = hideLocal(candidate); !ok {
			return "", false
		}
	}
	if t.offered[candidate] || candidate != "" && len(t.offered) >= maxOwn {
		return "", false
	}
	t.offered[candidate] = true
	return candidate, true
}

// begin returns the description as the other end may see it, and lets the
// candidates that are not in it trickle.
func (t *Trickle) begin(description Description) (Description, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.wake()
	shown, err := description.edit(func(value string) (string, bool, error) {
		candidate, ok := t.outgoing("candidate:" + value)
		return strings.TrimPrefix(candidate, "candidate:"), ok, nil
	})
	if err != nil {
		return "", fmt.Errorf("edit the candidates: %w", err)
	}
	if shown.complete() {
		t.offered[""] = true
	}
	t.begun, t.own = true, shown.ufrag()
	for _, c := range t.early {
		t.add(c)
	}
	t.early = nil
	return shown, nil
}

// Local waits for the candidate with the index i, from 0, of those that the
// description does not have. The last one says that there are no more; io.EOF
// follows it. It returns the context's error when that ends, and one that wraps
// ErrLost when the connection does.
func (t *Trickle) Local(ctx context.Context, i int) ([]byte, error) {
	for {
		t.mu.Lock()
		changed, all, over := t.changed, t.local, t.ended && t.begun
		t.mu.Unlock()
		switch {
		case i < len(all):
			return all[i], nil
		case over:
			return nil, io.EOF
		}
		select {
		case <-changed:
		case <-t.over:
			return nil, fmt.Errorf("%w: no more candidates are gathered", ErrLost)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Remote takes a candidate of the other end, also before that end's
// description. It must name the description's ICE session, whose name is known
// only to those who have read the description. last reports that the candidate
// says that no more follow. A candidate that this end does not connect to is
// passed over.
func (t *Trickle) Remote(candidate []byte) (last bool, err error) {
	var c webrtc.ICECandidateInit
	if len(candidate) > api.MaxCandidate {
		return false, fmt.Errorf("take a candidate: it is %d bytes long, at most %d are allowed", len(candidate), api.MaxCandidate)
	}
	if err := json.Unmarshal(candidate, &c); err != nil {
		return false, fmt.Errorf("take a candidate: it is not the JSON of a candidate: %w", err)
	}
	if c.UsernameFragment == nil {
		return false, errors.New("take a candidate: it does not name its session (usernameFragment)")
	}
	last = c.Candidate == ""
	if early, err := t.keep(c); early || err != nil {
		return last && err == nil, err
	}
	return last, t.take(c)
}

// keep stores a candidate that comes before the description.
func (t *Trickle) keep(c webrtc.ICECandidateInit) (early bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ufrag != "" {
		return false, nil
	}
	if len(t.pending) >= api.MaxTrickled {
		return true, fmt.Errorf("take a candidate: more than %d came before the description", api.MaxTrickled)
	}
	t.pending = append(t.pending, c)
	return true, nil
}

// take hands a candidate to pion if it is for this session and its address is
// one to connect to.
func (t *Trickle) take(c webrtc.ICECandidateInit) error {
	err := t.judge(c)
	if errors.Is(err, errUnwanted) {
		t.log.Debug("the other end's candidate is not used", "reason", err)
		return nil
	}
	if err == nil {
		err = t.hand(c)
	}
	if err != nil {
		return fmt.Errorf("take a candidate: %w", err)
	}
	return nil
}

func (t *Trickle) judge(c webrtc.ICECandidateInit) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *c.UsernameFragment != t.ufrag {
		return errors.New("it belongs to another session")
	}
	if c.Candidate == "" {
		return nil
	}
	err := t.gate.admit(c.Candidate)
	if err == nil {
		t.note(c.Candidate)
	}
	return err
}

// admitDescribed judges a candidate attribute of the other end's description.
func (t *Trickle) admitDescribed(value string) (string, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.gate.admit(value)
	if errors.Is(err, errUnwanted) {
		t.log.Debug("the other end's candidate is not used", "reason", err)
		return "", false, nil
	}
	return value, err == nil, err
}

// described takes the candidates that came before the other end's description,
// which is set now.
func (t *Trickle) described(description Description) {
	t.mu.Lock()
	for _, candidate := range description.candidates() {
		t.note(candidate)
	}
	t.ufrag = description.ufrag()
	pending := t.pending
	t.pending = nil
	t.mu.Unlock()
	for _, c := range pending {
		// A wrong one must not cost the others.
		if err := t.take(c); err != nil {
			t.log.Debug("the other end's candidate is not used", "reason", err)
		}
	}
}

// note remembers the other end's relays, so that their packets are recognized
// even where ICE has seen them before their candidate. It must be called with the
// lock held.
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
