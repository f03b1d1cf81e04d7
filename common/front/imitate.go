package front

//lint:file-ignore SA1019 http.Transport, which http2.Transport's deprecation names, speaks h2 over *tls.Conn alone; see doc/decisions/0005-utls-and-h2.md

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	utls "github.com/refraction-networking/utls"
	"golang.org/x/net/http2"
)

// imitator sends requests over connections with a browser's handshake.
//
// Browsers offer h2 and http/1.1, and the server chooses in the handshake, but
// net/http needs the protocol before it connects. So the imitator makes the first
// connection to an address itself, and parks it for the transport that fits; see
// doc/decisions/0005-utls-and-h2.md.
type imitator struct {
	hello   utls.ClientHelloID
	dialer  *dialer
	timeout time.Duration
	h1      *http.Transport
	h2      *http2.Transport
	// first is held while one request finds the protocol of an address.
	first chan struct{}

	mu     sync.Mutex
	speaks map[string]string   // the protocol of the last connection, by address
	parked map[string]*waiting // connections without a transport, by address
}

// waiting is a parked connection.
type waiting struct {
	*utls.UConn
	since time.Time
}

// parkedLife is how long a connection stays parked. The request that it was made
// for takes it at once, unless it was canceled.
const parkedLife = 5 * time.Second

// errOther is the error of a connection with another protocol than the
// transport's. The connection is parked for the other transport.
var errOther = errors.New("the server speaks another version of HTTP than before")

func newImitator(hello utls.ClientHelloID, d *dialer, timeout time.Duration) *imitator {
	i := &imitator{
		hello: hello, dialer: d, timeout: timeout, first: make(chan struct{}, 1),
		speaks: map[string]string{}, parked: map[string]*waiting{},
	}
	i.h1 = &http.Transport{
		DialTLSContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return i.connection(ctx, address, "http/1.1")
		},
		IdleConnTimeout: idleTimeout, MaxIdleConnsPerHost: maxIdle,
	}
	i.h2 = &http2.Transport{
		DialTLSContext: func(ctx context.Context, _, address string, _ *tls.Config) (net.Conn, error) {
			return i.connection(ctx, address, http2.NextProtoTLS)
		},
		IdleConnTimeout: idleTimeout, ReadIdleTimeout: pingAfter, PingTimeout: pingTimeout,
	}
	return i
}

func (i *imitator) RoundTrip(req *http.Request) (*http.Response, error) {
	address := withPort(req.URL)
	for again := false; ; again = true {
		protocol, err := i.protocol(req.Context(), address)
		if err != nil {
			if req.Body != nil {
				req.Body.Close()
			}
			return nil, err
		}
		var resp *http.Response
		if protocol == http2.NextProtoTLS {
			resp, err = i.h2.RoundTrip(req)
		} else {
			resp, err = i.h1.RoundTrip(req)
		}
		if err == nil || again || !errors.Is(err, errOther) {
			return resp, err
		}
		// Nothing was sent, but the transport has closed the body.
		if req.GetBody == nil && req.Body != nil {
			return nil, err
		}
		if req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			req = req.Clone(req.Context())
			req.Body = body
		}
	}
}

func (i *imitator) CloseIdleConnections() {
	i.h1.CloseIdleConnections()
	i.h2.CloseIdleConnections()
	i.mu.Lock()
	defer i.mu.Unlock()
	for address, conn := range i.parked {
		conn.Close()
		delete(i.parked, address)
	}
}

// protocol returns the protocol of the server at the address, after connecting if
// it is not known yet.
func (i *imitator) protocol(ctx context.Context, address string) (string, error) {
	if known := i.known(address); known != "" {
		return known, nil
	}
	select {
	case i.first <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-i.first }()
	if known := i.known(address); known != "" {
		return known, nil
	}
	conn, err := i.handshake(ctx, address)
	if err != nil {
		return "", err
	}
	return i.park(address, conn), nil
}

func (i *imitator) known(address string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.speaks[address]
}

// park stores a connection for the transport that fits, and returns its protocol.
func (i *imitator) park(address string, conn *utls.UConn) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if old := i.parked[address]; old != nil {
		old.Close()
	}
	i.parked[address] = &waiting{conn, time.Now()}
	i.speaks[address] = spoken(conn)
	return i.speaks[address]
}

func spoken(conn *utls.UConn) string {
	if conn.ConnectionState().NegotiatedProtocol == http2.NextProtoTLS {
		return http2.NextProtoTLS
	}
	return "http/1.1"
}

// connection returns a connection for a transport.
func (i *imitator) connection(ctx context.Context, address, protocol string) (net.Conn, error) {
	i.mu.Lock()
	conn := i.parked[address]
	if conn != nil && (spoken(conn.UConn) == protocol || time.Since(conn.since) > parkedLife) {
		delete(i.parked, address)
	}
	i.mu.Unlock()
	if conn != nil && spoken(conn.UConn) == protocol {
		if time.Since(conn.since) <= parkedLife {
			return conn.UConn, nil
		}
		conn.Close()
	}
	fresh, err := i.handshake(ctx, address)
	if err != nil {
		return nil, err
	}
	if spoken(fresh) != protocol {
		i.park(address, fresh)
		return nil, errOther
	}
	return fresh, nil
}

// handshake connects to HOST:PORT.
func (i *imitator) handshake(ctx context.Context, address string) (_ *utls.UConn, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*i.timeout) // one for TCP, one for TLS
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	raw, err := i.dialer.connect(ctx, address)
	if err != nil {
		return nil, err
	}
	conn := utls.UClient(raw, &utls.Config{ServerName: host, RootCAs: i.dialer.roots, MinVersion: utls.VersionTLS12}, i.hello)
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err = conn.HandshakeContext(ctx)
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.TLSHandshakeDone != nil {
		s := conn.ConnectionState()
		trace.TLSHandshakeDone(tls.ConnectionState{
			Version: s.Version, HandshakeComplete: s.HandshakeComplete, CipherSuite: s.CipherSuite,
			NegotiatedProtocol: s.NegotiatedProtocol, ServerName: host, PeerCertificates: s.PeerCertificates,
		}, err)
	}
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS with %s: %w", host, err)
	}
	return conn, nil
}
