package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/pion/webrtc/v4"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/grant"
)

// maxRefused is how many refused channels a peer may open until it counts as
// hostile and is cut off.
const maxRefused = 32

// ErrLost is wrapped by the errors of a connection that broke or was never
// established.
var ErrLost = errors.New("the peer connection is lost")

// Conn is a connection between two peers. Its methods are safe for concurrent
// use.
type Conn struct {
	pc      *webrtc.PeerConnection
	log     *slog.Logger
	network *network
	trickle *Trickle

	connected chan struct{} // closed when first connected
	done      chan struct{} // closed when over
	closeOnce func() error

	mu          sync.Mutex
	isConnected bool
	err         error
	slots       map[string]*slot
	refused     int

	sent, received atomic.Int64
}

// slot is the place of a channel, which may not be open yet.
type slot struct {
	taken bool // a data channel with this label exists
	ready chan struct{}
	m     *messages
}

func newConn(pc *webrtc.PeerConnection, n *network, cfg Config) *Conn {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Conn{
		pc: pc, log: log, network: n,
		connected: make(chan struct{}), done: make(chan struct{}),
		slots: map[string]*slot{},
	}
	c.trickle = newTrickle(pc, cfg, log, c.done, n.hostAddresses(cfg.Loopback))
	c.closeOnce = sync.OnceValue(func() error {
		c.end(fmt.Errorf("%w: this end closed it", ErrLost))
		n.abandon()
		return pc.GracefulClose()
	})
	pc.OnConnectionStateChange(c.stateChanged)
	return c
}

func (c *Conn) stateChanged(state webrtc.PeerConnectionState) {
	c.log.Debug("peer connection", "state", state.String())
	switch state {
	case webrtc.PeerConnectionStateConnected:
		c.mu.Lock()
		first := !c.isConnected
		c.isConnected = true
		c.mu.Unlock()
		if first {
			close(c.connected)
		}
	case webrtc.PeerConnectionStateFailed:
		reason := "the two ends found no path to each other"
		c.mu.Lock()
		if c.isConnected {
			reason = "the other end has gone silent"
		}
		c.mu.Unlock()
		c.end(fmt.Errorf("%w: %s", ErrLost, reason))
	case webrtc.PeerConnectionStateClosed:
		c.end(fmt.Errorf("%w: the other end closed it", ErrLost))
	}
}

// end marks the connection as over, with the first reason.
func (c *Conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		close(c.done)
	}
}

// Connected waits until the DTLS handshake is done. It returns an error that
// wraps ErrLost when the connection fails, and the context's when that ends.
func (c *Conn) Connected(ctx context.Context) error {
	select {
	case <-c.connected:
		return nil
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return fmt.Errorf("connect to the peer: %w", ctx.Err())
	}
}

// Done is closed when the connection is over, for whatever reason.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns the reason why the connection is over, and nil while it is not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection and waits for its goroutines. It must not be called
// from a callback of this package. What was written and not yet delivered is
// lost.
func (c *Conn) Close() error { return c.closeOnce() }

// RemoteFingerprint returns the SHA-256, in the form of RFC 8122, of the
// certificate that the other end presented in DTLS; empty before Connected.
func (c *Conn) RemoteFingerprint() string {
	der := c.pc.SCTP().Transport().GetRemoteCertificate()
	if len(der) == 0 {
		return ""
	}
	return grant.Fingerprint(der)
}

// Relayed reports whether the packets go through a TURN relay. It is false
// before Connected.
func (c *Conn) Relayed() bool {
	pair, err := c.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return false
	}
	return pair.Local.Typ == webrtc.ICECandidateTypeRelay || pair.Remote.Typ == webrtc.ICECandidateTypeRelay ||
		c.trickle.isRelay(pair.Remote.Address, pair.Remote.Port)
}

// Trickle returns the candidates that are exchanged one by one.
func (c *Conn) Trickle() *Trickle { return c.trickle }

// Traffic returns how many bytes of messages were sent and received on all
// channels.
func (c *Conn) Traffic() (sent, received int64) { return c.sent.Load(), c.received.Load() }

// Buffered returns how many bytes of messages the transport holds that the other
// end has not acknowledged.
func (c *Conn) Buffered() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var n uint64
	for _, s := range c.slots {
		select {
		case <-s.ready:
			n += s.m.dc.BufferedAmount()
		default:
		}
	}
	return n
}

// Channel waits until the channel with the label is open. It returns an error
// that wraps ErrLost when the connection ends first, and the context's when
// that does. Several calls for one label return the same channel.
func (c *Conn) Channel(ctx context.Context, label string) (channel.Messages, error) {
	c.mu.Lock()
	s := c.slot(label)
	c.mu.Unlock()
	select {
	case <-s.ready:
		return s.m, nil
	case <-c.done:
		return nil, fmt.Errorf("open the channel %s: %w", label, c.Err())
	case <-ctx.Done():
		return nil, fmt.Errorf("open the channel %s: %w", label, ctx.Err())
	}
}

// slot must be called with the lock held.
func (c *Conn) slot(label string) *slot {
	s, ok := c.slots[label]
	if !ok {
		s = &slot{ready: make(chan struct{})}
		c.slots[label] = s
	}
	return s
}

// incoming accepts or refuses a channel that the other end opens.
func (c *Conn) incoming(dc *webrtc.DataChannel, allow func(string) error) {
	err := allow(dc.Label())
	if err == nil && c.adopt(dc) {
		return
	}
	c.log.Warn("refused a channel", "label", dc.Label(), "reason", err)
	c.mu.Lock()
	c.refused++
	hostile := c.refused > maxRefused
	c.mu.Unlock()
	if hostile {
		c.end(fmt.Errorf("%w: the other end opened more than %d channels that were not granted", ErrLost, maxRefused))
	}
	dc.OnOpen(func() {
		// A detached channel is closed at its stream; the connection goes on.
		if raw, err := dc.Detach(); err == nil {
			_ = raw.Close()
		}
	})
}

// adopt makes dc the channel of its label, and returns false if there is one
// already.
func (c *Conn) adopt(dc *webrtc.DataChannel) bool {
	c.mu.Lock()
	s := c.slot(dc.Label())
	taken := s.taken
	s.taken = true
	c.mu.Unlock()
	if taken {
		return false
	}
	dc.OnOpen(func() {
		raw, err := dc.DetachWithDeadline()
		if err != nil {
			c.end(fmt.Errorf("%w: open the channel %s: %w", ErrLost, dc.Label(), err))
			return
		}
		m, err := newMessages(c, dc.Label(), raw)
		if err != nil {
			c.end(errors.Join(fmt.Errorf("%w: %w", ErrLost, err), raw.Close()))
			return
		}
		s.m = m
		close(s.ready)
	})
	return true
}

// lost turns an error of a channel into one that wraps ErrLost, with the reason
// why the connection is over if that is known. A channel that the other end has
// closed is io.EOF.
func (c *Conn) lost(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	if reason := c.Err(); reason != nil {
		return reason
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}
