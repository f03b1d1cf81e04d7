package peer

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

const sdpHead = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:u\r\n"

// TestLocalWakesAtTheEnd waits for a candidate of an end whose description has
// them all. The last event adds no candidate, and must wake the waiter
// nevertheless.
func TestLocalWakesAtTheEnd(t *testing.T) {
	complete := Description(sdpHead + "a=end-of-candidates\r\n")
	begin := func(tr *Trickle, _ chan struct{}) {
		if _, err := tr.begin(complete); err != nil {
			t.Error(err)
		}
	}
	gathered := func(tr *Trickle, _ chan struct{}) { tr.gathered(nil) }
	for name, c := range map[string]struct {
		before, last func(*Trickle, chan struct{})
		want         error
	}{
		"gathering ends last":      {begin, gathered, io.EOF},
		"the description is last":  {gathered, begin, io.EOF},
		"the connection ends last": {begin, func(_ *Trickle, over chan struct{}) { close(over) }, ErrLost},
	} {
		t.Run(name, func(t *testing.T) {
			pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
			if err != nil {
				t.Fatal(err)
			}
			defer pc.Close()
			over := make(chan struct{})
			tr := newTrickle(pc, Config{}, slog.New(slog.DiscardHandler), over, nil)
			c.before(tr, over)
			// Reading the context's Done shows that the waiter is about to sleep.
			ctx, asleep := watched(t)
			got := make(chan error, 1)
			go func() { _, err := tr.Local(ctx, 0); got <- err }()
			<-asleep
			c.last(tr, over)
			if err := <-got; !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// watched returns a context of the test and a channel that is closed when a
// goroutine starts to wait for the context.
func watched(t *testing.T) (context.Context, <-chan struct{}) {
	asleep := make(chan struct{})
	return &watchedContext{Context: t.Context(), asleep: asleep}, asleep
}

type watchedContext struct {
	context.Context
	asleep chan struct{}
	closed bool
}

func (c *watchedContext) Done() <-chan struct{} {
	if !c.closed {
		c.closed = true
		close(c.asleep)
	}
	return c.Context.Done()
}

// TestPionIsCalledWithoutTheLock: pion calls gathered while it holds locks that
// its own methods take. A candidate that is handed to pion under this package's
// lock would be one half of a deadlock.
func TestPionIsCalledWithoutTheLock(t *testing.T) {
	cfg := Config{Loopback: true, Trickle: true}
	offer, err := NewOffer(t.Context(), cfg, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	conn, answer, err := NewAnswer(t.Context(), cfg, offer.Description(), allowAll)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	handed := 0
	watch := func(tr *Trickle) {
		pion := tr.hand
		tr.hand = func(c webrtc.ICECandidateInit) error {
			if !tr.mu.TryLock() {
				t.Error("pion is called with the lock held")
				return nil
			}
			tr.mu.Unlock()
			handed++
			return pion(c)
		}
	}
	// One candidate comes after the description, and one before it.
	watch(conn.Trickle())
	watch(offer.Trickle())
	for tr, session := range map[*Trickle]string{conn.Trickle(): offer.Description().ufrag(), offer.Trickle(): answer.ufrag()} {
		candidate := `{"candidate":"candidate:1 1 udp 1 127.0.0.9 9 typ host","usernameFragment":"` + session + `"}`
		if _, err := tr.Remote([]byte(candidate)); err != nil {
			t.Error(err)
		}
	}
	client, err := offer.Connect(t.Context(), answer)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if handed != 2 {
		t.Errorf("%d of 2 candidates were handed to pion", handed)
	}
}

// TestCloseWhileCandidatesCome closes connections while candidates of both ends
// are exchanged. A deadlock between this package's lock and pion's shows as a
// close that never returns.
func TestCloseWhileCandidatesCome(t *testing.T) {
	cfg := Config{Loopback: true, Trickle: true}
	for range 50 {
		offer, err := NewOffer(t.Context(), cfg, []string{"espctl"})
		if err != nil {
			t.Fatal(err)
		}
		conn, _, err := NewAnswer(t.Context(), cfg, offer.Description(), allowAll)
		if err != nil {
			t.Fatal(err)
		}
		candidate := []byte(`{"candidate":"candidate:1 1 udp 1 127.0.0.9 9 typ host","usernameFragment":"` + offer.Description().ufrag() + `"}`)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for range 20 {
				_, _ = conn.Trickle().Remote(candidate)
			}
		}()
		closed := make(chan error, 1)
		go func() { closed <- errors.Join(conn.Close(), offer.Close()) }()
		select {
		case err := <-closed:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("the connection does not close")
		}
		<-sent
	}
}

// TestSocketsAfterAbandonAreClosed makes sockets when the connection is being
// closed: gathering may be about to.
func TestSocketsAfterAbandonAreClosed(t *testing.T) {
	n, err := newNetwork(new(hello))
	if err != nil {
		t.Fatal(err)
	}
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	to := server.Addr().(*net.TCPAddr)
	n.abandon()
	for name, open := range map[string]func() (io.Closer, error){
		"UDP":    func() (io.Closer, error) { return n.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}) },
		"packet": func() (io.Closer, error) { return n.ListenPacket("udp4", "127.0.0.1:0") },
		"TCP":    func() (io.Closer, error) { return n.DialTCP("tcp4", nil, to) },
	} {
		if s, err := open(); err == nil {
			s.Close()
			t.Errorf("%s: a socket was opened that is never closed", name)
		}
	}
	if len(n.sockets) > 0 {
		t.Errorf("%d sockets are recorded", len(n.sockets))
	}
}
