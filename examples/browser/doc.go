// Package browser shows a client in a web page, in plain JavaScript, and tests
// it in a real Chromium against the real broker and agent.
//
//	page ─── https or loopback ──▶ its own server: farforge.js, index.html
//	  │ grant/request, offer (CORS: --allowed-origins)
//	  ├───────────────────────────▶ broker
//	  │ espctl, source, firmware (WebRTC)
//	  └═══════════════════════════▶ agent
//
// The page sends a plain offer, which the broker can read, so that it needs no age
// library. doc/protocol.md says which brokers accept plain offers.
package browser
