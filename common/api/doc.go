// Package api is the HTTP protocol between a broker, its agents and its
// clients: every path, every JSON body, every limit and every error code, and
// nothing else. The broker's server and the two HTTP clients import it; it
// imports none of them.
//
// # One job
//
//	agent                        broker                              client
//	  │ POST /agents/hello ────────▶│                                   │
//	  │ POST /agents/session ──────▶│                                   │
//	  │ POST /agents/poll ─────────▶│ parks ≤ 25 s                      │
//	  │                             │◀───────── POST /grant/request ────│
//	  │                             │── job id, grant, candidates ─────▶│
//	  │                             │◀─ POST /signaling/{job_id}/offer ─│ blocks ≤ 25 s
//	  │◀──── Job ───────────────────│                                   │
//	  │ POST …/{job_id}/answer ────▶│────────── answer ────────────────▶│
//	  │◀═════════════════════ WebRTC, without the broker ══════════════▶│
//	  │ POST /agents/report ───────▶│                                   │
//
// # Rules
//
// Every exchange is one bounded HTTP request; there is no stream of events.
// What waits, waits inside its request for at most [MaxWait] and is then asked
// again. Requests may shorten that with the query parameter [WaitParam]. A
// wait that ends without a result is no error: a poll gets 204, an offer gets
// 202 with a [Waiting] body that carries a fresh grant for the same job.
//
// Bodies are JSON, except offers, answers and candidates, which are opaque
// bytes to the broker. A body is at most [MaxBody] long. Errors are problem
// details as RFC 9457 defines them, with a stable [Code].
//
// Tokens travel as RFC 6750 bearer tokens: the grant on the client's signaling
// requests, the session token on the agent's.
package api
