package relay

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/pion/stun/v4"
)

// CHANGE-REQUEST's flags (RFC 5780, section 7.2).
const (
	changeIP   = 0x04
	changePort = 0x02
)

// corners are the sockets of RFC 5780, section 6: [address][port]. With one
// public address there is one row.
//
//	             primary port     alternate port
//	address 0    STUN and TURN    STUN
//	address 1    STUN             STUN
type corners [][2]net.PacketConn

// respond answers a STUN Binding request at the corner i, j, and reports whether
// the packet is one. All other packets are TURN's.
func (s *Server) respond(i, j int, packet []byte, from net.Addr) bool {
	if len(packet) < 20 || binary.BigEndian.Uint16(packet) != stun.BindingRequest.Value() || !stun.IsMessage(packet) {
		return false
	}
	udp, ok := from.(*net.UDPAddr)
	var request stun.Message
	if !ok || stun.Decode(packet, &request) != nil {
		return true // malformed: no answer
	}
	ti, tj := i, j
	if change, err := request.Get(stun.AttrChangeRequest); err == nil {
		if len(change) != 4 {
			return true
		}
		if change[3]&changeIP != 0 {
			if len(s.corners) < 2 {
				return true // an answer from the same address would be wrong
			}
			ti = 1 - i
		}
		if change[3]&changePort != 0 {
			tj = 1 - j
		}
	}
	other := len(s.corners) - 1 - i
	setters := []stun.Setter{
		stun.NewTransactionIDSetter(request.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: udp.IP, Port: udp.Port},
		&stun.ResponseOrigin{IP: s.cfg.PublicIPs[ti].AsSlice(), Port: s.portOf(ti, tj)},
		&stun.OtherAddress{IP: s.cfg.PublicIPs[other].AsSlice(), Port: s.portOf(other, 1-j)},
	}
	if request.Contains(stun.AttrFingerprint) {
		setters = append(setters, stun.Fingerprint)
	}
	response, err := stun.Build(setters...)
	if err == nil {
		_, err = s.corners[ti][tj].WriteTo(response.Raw, from)
	}
	if err != nil {
		s.cfg.Logger.Debug("a STUN response was not sent", "err", err)
	}
	return true
}

func (s *Server) portOf(i, j int) int {
	return s.corners[i][j].LocalAddr().(*net.UDPAddr).Port
}

// serveSTUN answers at a corner without TURN until it is closed.
func (s *Server) serveSTUN(i, j int) {
	packet := make([]byte, 1500)
	for {
		n, from, err := s.corners[i][j].ReadFrom(packet)
		if err != nil {
			return
		}
		s.respond(i, j, packet[:n], from)
	}
}

// withSTUN is the corner that also serves TURN.
type withSTUN struct {
	net.PacketConn
	s *Server
}

// ReadFrom returns the next packet that is not a Binding request.
func (c withSTUN) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(p)
		if err != nil || !c.s.respond(0, 0, p[:n], from) {
			return n, from, err
		}
	}
}

// listenCorners opens all UDP sockets, or none. Port 0 selects free ports of the
// first address; they must be free on the second one, too.
func listenCorners(public []netip.Addr, local []netip.Addr, port uint16) (c corners, err error) {
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	ports := [2]uint16{port, port + 1}
	if port == 0 {
		ports[1] = 0
	}
	for _, ip := range public {
		var row [2]net.PacketConn
		c = append(c, row)
		for j := range row {
			conn, err := net.ListenPacket("udp", net.JoinHostPort(localHost(ip, local), portText(ports[j])))
			if err != nil {
				return c, err
			}
			c[len(c)-1][j] = conn
			ports[j] = uint16(conn.LocalAddr().(*net.UDPAddr).Port)
		}
	}
	return c, nil
}

func (c corners) close() {
	for _, row := range c {
		for _, conn := range row {
			if conn != nil {
				_ = conn.Close()
			}
		}
	}
}
