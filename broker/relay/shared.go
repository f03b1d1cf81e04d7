package relay

import (
	"errors"
	"net"
	"sync"
	"time"
)

// shareTime is the time in which a connection must send its first byte.
const shareTime = 10 * time.Second

// share divides the connections of one listener by their first byte. The first
// two bits of STUN are zero (RFC 8489, section 5); a TLS handshake begins
// with 22 (RFC 8446, section 5.1), and HTTP with a letter.
type share struct {
	net.Listener
	turn, api queue
	pending   sync.WaitGroup
}

func newShare(l net.Listener) *share {
	s := &share{Listener: l}
	s.turn.init(l)
	s.api.init(l)
	s.pending.Go(s.accept)
	return s
}

func (s *share) accept() {
	for {
		conn, err := s.Listener.Accept()
		if err != nil {
			var passing interface{ Temporary() bool }
			if errors.As(err, &passing) && passing.Temporary() {
				time.Sleep(5 * time.Millisecond) // for example, there are too many open files
				continue
			}
			s.turn.fail(err)
			s.api.fail(err)
			return
		}
		s.pending.Go(func() { s.divide(conn) })
	}
}

// divide reads the first byte of a connection and passes the connection on.
func (s *share) divide(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(shareTime))
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.api.over: // the server ends
			_ = conn.SetReadDeadline(time.Unix(1, 0))
		case <-stop:
		}
	}()
	first := make([]byte, 1)
	_, err := conn.Read(first)
	close(stop)
	<-watched
	if err != nil {
		_ = conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	to := &s.api
	if first[0] < 4 { // TURN's requests; its channel data comes after an allocation
		to = &s.turn
	}
	to.put(&begun{Conn: conn, first: first})
}

// begun is a connection whose first byte was read.
type begun struct {
	net.Conn
	first []byte
}

func (c *begun) Read(p []byte) (int, error) {
	if len(c.first) > 0 && len(p) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// queue is a listener whose connections come from put.
type queue struct {
	from  net.Listener
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
	err   error
}

func (q *queue) init(l net.Listener) {
	q.from, q.conns, q.over = l, make(chan net.Conn), make(chan struct{})
}

func (q *queue) put(c net.Conn) {
	select {
	case q.conns <- c:
	case <-q.over:
		_ = c.Close()
	}
}

func (q *queue) fail(err error) { q.once.Do(func() { q.err = err; close(q.over) }) }

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.over:
		return nil, q.err
	}
}

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return q.from.Addr() }

// Close ends this half.
func (q *queue) Close() error {
	q.fail(net.ErrClosed)
	return nil
}

// apiHalf is the API's half. Closing it closes the listener, because the API's
// server owns it.
type apiHalf struct{ *share }

// Accept implements net.Listener.
func (h apiHalf) Accept() (net.Conn, error) { return h.api.Accept() }

// Close implements net.Listener.
func (h apiHalf) Close() error {
	_ = h.api.Close()
	err := h.Listener.Close()
	h.pending.Wait()
	return err
}
