// Package front makes HTTPS connections that do not show where they lead.
//
// Many sites share the machines of one content delivery network. Which of them a
// request is for is said three times: in DNS, in the TLS ClientHello (SNI, RFC
// 6066), and in the Host of the request. The first two travel in clear, the third
// does not. A front is a site of the same network that nobody blocks:
//
//	                seen on the wire                    encrypted
//	DNS, TCP, SNI: front.example        Host: broker.example.org
//	      │                                  │
//	client ────────── TLS ────────▶ the network's edge ─────▶ broker
//	                  its certificate is front.example's
//
// What an observer sees is a visit to front.example. What the network sees is
// everything that TLS protects, so nothing that must stay secret from it may be
// in a request.
//
// The ClientHello itself tells a Go program from a browser. [Config.Imitate] has
// the handshake look like that of a browser, by
// github.com/refraction-networking/utls.
package front
