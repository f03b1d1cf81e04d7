package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/turn/v5"
)

// serving accepts connections and reads them to their end, as pion's server does.
type serving struct {
	*connections
	accepted chan net.Conn
	ended    chan net.Conn
}

func serve(t *testing.T, wait time.Duration) *serving {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &serving{bound(l, wait), make(chan net.Conn, 2000), make(chan net.Conn, 2000)}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := s.Accept()
			if err != nil {
				return
			}
			s.accepted <- c
			all.Go(func() {
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
				s.ended <- c
			})
		}
	})
	t.Cleanup(func() { _ = s.Close(); all.Wait() })
	return s
}

// dial opens a connection from a loopback address.
func dial(t *testing.T, from string, to net.Addr) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// wantEnd waits until the other end closes a connection.
func wantEnd(t *testing.T, what string, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	var late net.Error
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &late) && late.Timeout() {
		t.Errorf("%s stays open: %v", what, err)
	}
}

func TestWaitingConnectionsEnd(t *testing.T) {
	s := serve(t, 100*time.Millisecond)
	wantEnd(t, "a silent connection", dial(t, "127.0.0.1", s.Addr()))
	slow := dial(t, "127.0.0.1", s.Addr())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := slow.Write([]byte{0}); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond) // the pace of the attack
		}
	}()
	wantEnd(t, "a connection that sends a byte now and then", slow)
	_ = slow.Close()
	<-done
}

func TestConnectionsWithAllocationsStay(t *testing.T) {
	s := serve(t, 200*time.Millisecond)
	conn := dial(t, "127.0.0.1", s.Addr())
	remote := addrPort((<-s.accepted).RemoteAddr())
	s.allocated(remote, 1)
	// The read that was under way when the allocation began has the old
	// deadline; pion's server allocates between two reads.
	if _, err := conn.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	idle := dial(t, "127.0.0.1", s.Addr())
	<-s.accepted
	wantEnd(t, "the idle one", idle)
	s.mu.Lock()
	held := s.all[remote] != nil && s.waiting[source(remote.Addr())] == 0
	s.mu.Unlock()
	if !held {
		t.Error("a connection with an allocation ended with the idle ones")
	}
	s.allocated(remote, -1)
	wantEnd(t, "a connection whose allocation has ended", conn)
}

func TestOneAddressHasFewWaitingConnections(t *testing.T) {
	s := serve(t, time.Hour)
	var conns []net.Conn
	for range maxWaiting + 5 {
		conns = append(conns, dial(t, "127.0.0.1", s.Addr()))
		<-s.accepted
	}
	for _, c := range conns[:5] {
		wantEnd(t, "the oldest connection of a flood", c)
	}
	other := dial(t, "127.0.0.2", s.Addr())
	<-s.accepted
	for range 5 {
		<-s.ended
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[addrPort(other.LocalAddr())] == nil || len(s.all) != maxWaiting+1 {
		t.Errorf("%d connections are open", len(s.all))
	}
}

// A flood of idle connections, from however many addresses, does not shut the
// relay: 1030 of them did.
func TestAFloodOfIdleConnections(t *testing.T) {
	s := listen(t, func(c *Config) { c.AllowPrivate = true })
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.tcpPort}
	for i := range 1030 {
		dial(t, fmt.Sprintf("127.0.1.%d", 1+i/(maxWaiting-1)), addr)
	}
	username, password := s.credentials(someJob, time.Now().Add(time.Minute))
	conn := dial(t, "127.0.0.1", addr)
	wantEcho(t, allocate(t, s.client(t, turn.NewSTUNConn(conn), addr.String(), username, password)))
}
