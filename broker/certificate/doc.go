// Package certificate gives the broker's TLS listener its certificates: from
// files, or from an ACME server (RFC 8555) such as Let's Encrypt.
//
//	files   cert.pem, key.pem ── Check, Reload ─▶ ┐
//	                                              ├─▶ TLS ─▶ the API's listener
//	ACME    order ─▶ challenge ─▶ certificate ──▶ ┘
//	            TLS-ALPN-01 (RFC 8737) on the API's own listener
//	            HTTP-01 (RFC 8555, section 8.3) on a plain one
//
// Handshakes are what costs a broker most: an ECDSA certificate, session
// tickets and connections that are kept are worth more than any code of ours.
// So ACME certificates are always ECDSA, and crypto/tls is left its tickets,
// whose keys it changes every day.
package certificate

import "crypto/tls"

// base is what every listener begins with: TLS 1.2 or later, with session
// tickets, and HTTP/2.
func base() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
}
