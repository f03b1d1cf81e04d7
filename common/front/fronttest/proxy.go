package fronttest

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
)

// Proxy is a proxy that connects to one address for every destination.
type Proxy struct {
	Addr string
	// asked is the last requested destination, HOST:PORT.
	asked atomic.Value
	// authorization is the last Proxy-Authorization, or SOCKS5 user:password.
	authorization atomic.Value
}

// Asked returns the last requested destination, and the credentials with it.
func (p *Proxy) Asked() (address, authorization string) {
	address, _ = p.asked.Load().(string)
	authorization, _ = p.authorization.Load().(string)
	return address, authorization
}

// StartConnect starts an HTTP proxy with CONNECT (RFC 9110, section 9.3.6), over
// TLS if a configuration is given. It connects to the address to.
func StartConnect(t testing.TB, config *tls.Config, to string) *Proxy {
	t.Helper()
	p := new(Proxy)
	p.Addr = serve(t, func(conn net.Conn) {
		if config != nil {
			conn = tls.Server(conn, config)
		}
		in := bufio.NewReader(conn)
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if req.Method != http.MethodConnect {
			_, _ = io.WriteString(conn, "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
			return
		}
		p.asked.Store(req.Host)
		p.authorization.Store(req.Header.Get("Proxy-Authorization"))
		if to == "" {
			_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
			return
		}
		onward, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		join(readWriter{in, conn}, onward)
	})
	return p
}

// readWriter reads the bytes that a bufio.Reader has buffered first.
type readWriter struct {
	io.Reader
	net.Conn
}

func (r readWriter) Read(b []byte) (int, error) { return r.Reader.Read(b) }

// StartSOCKS5 starts a SOCKS5 proxy (RFC 1928) that accepts any user name and
// password (RFC 1929) and connects to one address.
func StartSOCKS5(t testing.TB, to string) *Proxy {
	t.Helper()
	p := new(Proxy)
	p.Addr = serve(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		methods := field(in, 1) // version, then the methods
		if methods == nil {
			return
		}
		if slices.Contains(methods, 2) {
			_, _ = conn.Write([]byte{5, 2})
			user, password := field(in, 1), field(in, 0)
			p.authorization.Store(string(user) + ":" + string(password))
			_, _ = conn.Write([]byte{1, 0})
		} else {
			_, _ = conn.Write([]byte{5, 0})
		}
		head := make([]byte, 4) // version, command, reserved, kind of address
		if _, err := io.ReadFull(in, head); err != nil || head[1] != 1 {
			return
		}
		var host string
		switch head[3] {
		case 1, 4:
			ip := make(net.IP, map[byte]int{1: 4, 4: 16}[head[3]])
			if _, err := io.ReadFull(in, ip); err != nil {
				return
			}
			host = ip.String()
		case 3:
			host = string(field(in, 0))
		}
		var port uint16
		if binary.Read(in, binary.BigEndian, &port) != nil {
			return
		}
		p.asked.Store(net.JoinHostPort(host, strconv.Itoa(int(port))))
		onward, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 0})
		join(readWriter{in, conn}, onward)
	})
	return p
}

// field skips bytes, and reads a length and as many bytes.
func field(in *bufio.Reader, skip int) []byte {
	if _, err := in.Discard(skip); err != nil {
		return nil
	}
	n, err := in.ReadByte()
	if err != nil {
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil
	}
	return b
}
