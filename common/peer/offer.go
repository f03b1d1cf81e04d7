package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/farforge/farforge/common/api"
)

// Offer is the client's end before the answer has come.
type Offer struct {
	conn  *Conn
	bytes []byte
}

// NewOffer makes an offer with one data channel for each label. Close it, or
// close the connection that Connect returns.
func NewOffer(ctx context.Context, cfg Config, labels []string) (*Offer, error) {
	conn, err := cfg.connection()
	if err != nil {
		return nil, err
	}
	pc := conn.pc
	conn.network.holdBack(cfg.ICEServers) // this end chooses the way
	for _, label := range labels {
		dc, err := pc.CreateDataChannel(label, nil)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open the channel %s: %w", label, err), conn.Close())
		}
		conn.adopt(dc)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the offer: %w", err), conn.Close())
	}
	bytes, err := conn.describe(ctx, offer, cfg.Trickle)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the offer: %w", err), conn.Close())
	}
	return &Offer{conn: conn, bytes: bytes}, nil
}

// Bytes returns the offer as it is to be sent.
func (o *Offer) Bytes() []byte { return o.bytes }

// Connect takes the answer and waits until the two ends are connected or ctx
// ends. On error the offer is closed.
func (o *Offer) Connect(ctx context.Context, answer []byte) (*Conn, error) {
	description, err := parse(answer, webrtc.SDPTypeAnswer)
	if err == nil {
		o.conn.network.admit(relayAfter)
		err = o.conn.setRemote(description)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take the answer: %w", err), o.conn.Close())
	}
	if err := o.conn.Connected(ctx); err != nil {
		return nil, errors.Join(err, o.conn.Close())
	}
	return o.conn, nil
}

// Trickle returns the candidates that come and go by themselves.
func (o *Offer) Trickle() *Trickle { return o.conn.trickle }

// Close gives the offer up.
func (o *Offer) Close() error { return o.conn.Close() }

// NewAnswer takes an offer and makes the answer to it. allow is called for each
// data channel that the other end opens, from a goroutine of the connection; a
// channel for which it returns an error is closed and never seen.
//
// The connection is not established yet: see [Conn.Connected].
func NewAnswer(ctx context.Context, cfg Config, offer []byte, allow func(label string) error) (*Conn, []byte, error) {
	description, err := parse(offer, webrtc.SDPTypeOffer)
	if err != nil {
		return nil, nil, fmt.Errorf("take the offer: %w", err)
	}
	conn, err := cfg.connection()
	if err != nil {
		return nil, nil, err
	}
	pc := conn.pc
	pc.OnDataChannel(func(dc *webrtc.DataChannel) { conn.incoming(dc, allow) })
	if err := conn.setRemote(description); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("take the offer: %w", err), conn.Close())
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("make the answer: %w", err), conn.Close())
	}
	bytes, err := conn.describe(ctx, answer, cfg.Trickle && trickles(description.SDP))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("make the answer: %w", err), conn.Close())
	}
	return conn, bytes, nil
}

func (c *Conn) setRemote(description webrtc.SessionDescription) error {
	if err := c.pc.SetRemoteDescription(description); err != nil {
		return err
	}
	c.trickle.described(description.SDP)
	return nil
}

// gatherTime bounds the wait for the candidates of a description that nothing
// follows: an answer has to be there within api.AnswerTimeout.
const gatherTime = 1500 * time.Millisecond

// describe sets the local description and returns it: with the host candidates
// if the others can follow, and else once it has all that come within
// gatherTime.
func (c *Conn) describe(ctx context.Context, description webrtc.SessionDescription, trickle bool) ([]byte, error) {
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(description); err != nil {
		return nil, err
	}
	wait, hosts := gatherTime, (chan struct{})(nil)
	if trickle {
		wait, hosts = hostTime, c.trickle.hostDone
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-gathered:
	case <-hosts:
	case <-timer.C:
	case <-ctx.Done():
		return nil, fmt.Errorf("gather candidates: %w", ctx.Err())
	}
	local := *c.pc.LocalDescription()
	if trickle {
		local.SDP = sayTrickle(local.SDP)
	}
	if c.trickle.hide {
		var err error
		if local.SDP, err = hideLocalSDP(local.SDP); err != nil {
			return nil, fmt.Errorf("take local addresses out: %w", err)
		}
	}
	c.trickle.begin(local.SDP)
	return json.Marshal(local)
}

// sayTrickle adds that this end trickles (RFC 8840, section 4.1.3).
func sayTrickle(description string) string {
	if strings.Contains(description, "a=ice-options:") {
		return description
	}
	return strings.Replace(description, "a=ice-ufrag:", "a=ice-options:trickle\r\na=ice-ufrag:", 1)
}

func parse(data []byte, want webrtc.SDPType) (webrtc.SessionDescription, error) {
	var d webrtc.SessionDescription
	if len(data) > api.MaxOffer {
		return d, fmt.Errorf("it is %d bytes long, at most %d are allowed", len(data), api.MaxOffer)
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return d, fmt.Errorf("it is no session description: %w", err)
	}
	if d.Type != want {
		return d, fmt.Errorf("it is an SDP %s, not an %s", d.Type, want)
	}
	return d, nil
}

// OfferFingerprint returns the SHA-256 certificate fingerprint that an offer
// announces, in the form of RFC 8122, so that an agent can refuse a foreign
// offer before it answers. An offer that announces none, or several different
// ones, is an error.
func OfferFingerprint(offer []byte) (string, error) {
	d, err := parse(offer, webrtc.SDPTypeOffer)
	if err != nil {
		return "", fmt.Errorf("take the offer: %w", err)
	}
	var s sdp.SessionDescription
	if err := s.UnmarshalString(d.SDP); err != nil {
		return "", fmt.Errorf("take the offer: it is no SDP: %w", err)
	}
	values := map[string]bool{}
	collect := func(attributes []sdp.Attribute) {
		for _, a := range attributes {
			if algorithm, value, ok := strings.Cut(a.Value, " "); a.Key == "fingerprint" && ok && strings.EqualFold(algorithm, "sha-256") {
				values[strings.ToUpper(strings.TrimSpace(value))] = true
			}
		}
	}
	collect(s.Attributes)
	for _, m := range s.MediaDescriptions {
		collect(m.Attributes)
	}
	if len(values) != 1 {
		return "", fmt.Errorf("take the offer: it announces %d SHA-256 fingerprints instead of one", len(values))
	}
	for v := range values {
		return v, nil
	}
	panic("unreachable")
}
