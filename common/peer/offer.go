// Package peer connects a client and an agent over WebRTC: the part of the
// set-up that both ends share. It has nothing to do with brokers; the caller
// carries descriptions and candidates.
//
//	client                                   agent
//	NewOffer ── offer ─────────────────────▶ NewAnswer
//	Connect  ◀────────────────────── answer ─┘
//	   │ ◀═══════ ICE, DTLS, SCTP ═════════▶ │
//	Channel("espctl") ◀════════════════════▶ Channel("espctl")
//
// An offer or answer is a [Description]. Candidates that are not in it follow one
// by one if both ends can trickle (RFC 8838); see [Trickle]. A description
// without "a=ice-options:trickle" has all of them, and so has the answer to it.
//
// Both ends use a fresh ECDSA P-256 certificate for each connection. A grant is
// bound to its fingerprint, so the agent compares [Conn.RemoteFingerprint], the
// fingerprint of the certificate actually presented in the DTLS handshake, before
// it acts on anything.
//
// A peer may be hostile: at most [api.MaxTrickled] of its candidates are
// accepted, and packets go to few of the addresses that it names; see
// candidates.go.
package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"
)

// Offer is the client's end before the answer has come.
type Offer struct {
	conn        *Conn
	description Description
}

// NewOffer makes an offer with one data channel for each label. Close it, or
// close the connection that Connect returns.
func NewOffer(ctx context.Context, cfg Config, labels []string) (*Offer, error) {
	conn, err := cfg.connection(webrtc.DTLSRoleAuto)
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
	description, err := conn.describe(ctx, offer, cfg.Trickle)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the offer: %w", err), conn.Close())
	}
	return &Offer{conn: conn, description: description}, nil
}

// Description returns the offer for the other end.
func (o *Offer) Description() Description { return o.description }

// Connect takes the answer and waits until the two ends are connected or ctx
// ends. On error the offer is closed.
func (o *Offer) Connect(ctx context.Context, answer Description) (*Conn, error) {
	o.conn.network.admit(relayAfter)
	if err := o.conn.setRemote(webrtc.SDPTypeAnswer, answer); err != nil {
		return nil, errors.Join(fmt.Errorf("take the answer: %w", err), o.conn.Close())
	}
	if err := o.conn.Connected(ctx); err != nil {
		return nil, errors.Join(err, o.conn.Close())
	}
	return o.conn, nil
}

// Trickle returns the candidates that are exchanged one by one.
func (o *Offer) Trickle() *Trickle { return o.conn.trickle }

// Close gives the offer up.
func (o *Offer) Close() error { return o.conn.Close() }

// NewAnswer takes an offer and makes the answer to it. It calls allow for each
// data channel that the other end opens, from a goroutine of the connection, and
// closes a channel for which allow returns an error.
//
// The connection is not established yet: see [Conn.Connected].
func NewAnswer(ctx context.Context, cfg Config, offer Description, allow func(label string) error) (*Conn, Description, error) {
	role := webrtc.DTLSRoleClient
	if !cfg.PlainDTLS && !offer.choosesDTLS12() && !offer.passive() {
		role = webrtc.DTLSRoleServer // such as a browser; its own ClientHello is the best one
	}
	conn, err := cfg.connection(role)
	if err != nil {
		return nil, "", err
	}
	pc := conn.pc
	pc.OnDataChannel(func(dc *webrtc.DataChannel) { conn.incoming(dc, allow) })
	if err := conn.setRemote(webrtc.SDPTypeOffer, offer); err != nil {
		return nil, "", errors.Join(fmt.Errorf("take the offer: %w", err), conn.Close())
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("make the answer: %w", err), conn.Close())
	}
	description, err := conn.describe(ctx, answer, cfg.Trickle && offer.Trickles())
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("make the answer: %w", err), conn.Close())
	}
	return conn, description, nil
}

// setRemote hands the other end's description to pion, without the candidates
// that this end does not connect to.
func (c *Conn) setRemote(kind webrtc.SDPType, description Description) error {
	admitted, err := description.edit(c.trickle.admitDescribed)
	if err != nil {
		return err
	}
	c.network.hello.learn(admitted)
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: string(admitted)}); err != nil {
		return err
	}
	c.trickle.described(admitted)
	return nil
}

// gatherTime bounds the wait for the candidates of a description that nothing
// follows: an answer has to be there within api.AnswerTimeout.
const gatherTime = 1500 * time.Millisecond

// describe sets the local description and returns it: with the host candidates
// if the others can follow, and else with all that are found within gatherTime.
func (c *Conn) describe(ctx context.Context, description webrtc.SessionDescription, trickle bool) (Description, error) {
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(description); err != nil {
		return "", err
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
		return "", fmt.Errorf("gather candidates: %w", ctx.Err())
	}
	local := Description(c.pc.LocalDescription().SDP)
	if trickle {
		local = local.announceTrickle()
	}
	return c.trickle.begin(local.announceDTLS12())
}
