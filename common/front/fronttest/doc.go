// Package fronttest has what stands between a client and a broker, for tests:
// an authority for certificates, nginx as a network that routes by Host, an AMP
// cache, proxies, a filter that cuts connections off, and a tap that keeps all
// bytes that pass. All of it is on loopback, and ends with its test.
package fronttest
