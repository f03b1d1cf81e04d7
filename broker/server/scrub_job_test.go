package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
)

// TestNoAddressIsLogged runs a whole job from an address of its own, with every kind
// of connection failure, and searches the log for the address.
func TestNoAddressIsLogged(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8 on its loopback interface")
	}
	const peer, claimed = "127.77.66.55", "203.0.113.77"
	for _, unsafely := range []bool{false, true} {
		w := newWorld(t)
		a := w.listAgent("bench-1")
		log := &syncBuffer{}
		w.adjust = func(c *Config) {
			c.UnsafeLogging = unsafely
			c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(peer)}}
		transport := &http.Transport{DialContext: dialer.DialContext}
		t.Cleanup(transport.CloseIdleConnections)
		w.http = &http.Client{Timeout: 30 * time.Second, Transport: forwarding{transport, claimed}}
		b := w.start()

		b.login(a)
		poll := b.park(t.Context(), a)
		g := b.grant()
		b.meet(g, a, poll)
		b.post(api.PathAgentReport, a.session, &api.Report{JobID: g.JobID, Outcome: api.OutcomeSucceeded})
		b.post(api.PathGrantRequest, "rubbish", grantRequest())
		gone, leave := context.WithCancel(t.Context())
		left := b.goPost(gone, api.PathAgentPoll, a.session, idleStatus())
		b.until("the agent is parked", func() bool { return b.srv.board.Stats().Parked == 1 })
		leave()
		<-left
		for _, text := range []string{"\x16\x03\x01\x00", "GET / HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n", "PROXY TCP4 " + claimed + " 127.0.0.1 1 2\r\n"} {
			conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(b.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write([]byte(text))
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = conn.Read(make([]byte, 1024))
			_ = conn.Close()
		}
		b.drain()
		if err := b.wait(); err != nil {
			t.Fatal(err)
		}
		text := log.String()
		if strings.Count(text, "msg=request") < 6 {
			t.Fatalf("the log has no line a request:\n%s", text)
		}
		if strings.Contains(text, claimed) {
			t.Errorf("the log has an address from a header:\n%s", text)
		}
		if strings.Contains(text, peer) != unsafely {
			t.Errorf("unsafe logging %v: the log has the peer's address: %v\n%s", unsafely, !unsafely, text)
		}
	}
}

// forwarding adds the header of a proxy.
type forwarding struct {
	*http.Transport
	claimed string
}

func (f forwarding) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", f.claimed)
	return f.Transport.RoundTrip(r)
}
