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
// Every exchange is one bounded HTTP request; there is no stream of events. The
// broker holds a request that waits for at most [MaxWait], and the requester sends
// it again. The query parameter [WaitParam] asks for a shorter wait. A wait that
// ends without a result is not an error: a poll gets 204, an offer gets 202 with a
// [Waiting] body and a fresh grant for the same job.
//
// Bodies are JSON, except offers, answers and candidates, which are opaque bytes to
// the broker. A body has at most [MaxBody] bytes. Errors are problem details (RFC
// 9457) with a stable [Code].
//
// Tokens travel as RFC 6750 bearer tokens: the grant on the client's signaling
// requests, the session token on the agent's.
package api

import "time"

// Sizes. A broker refuses longer bodies with 413 and does not read them to the end;
// a client refuses longer responses.
const (
	// MaxBody bounds every request and response body, in bytes.
	MaxBody = 64 << 10
	// MaxOffer bounds an offer or an answer, in bytes. It is less than MaxBody
	// so that an offer still fits into a [Job] as base64 beside the grant.
	MaxOffer = 40 << 10
	// MaxChannels, MaxAgents and MaxCapabilities bound the lists in requests.
	MaxChannels     = 16
	MaxAgents       = 64
	MaxCapabilities = 512
	// MaxRecipes bounds the recipes in a status, and the targets and toolchains
	// of each.
	MaxRecipes = 64
	// MaxTags bounds the tags in requests and statuses.
	MaxTags = 16
	// MaxWarm bounds the warm workspaces in a status.
	MaxWarm = 64
	// MaxEnded bounds the ended jobs in a status.
	MaxEnded = 32
	// NonceSize is the length of an agent's nonce, in bytes.
	NonceSize = 32
)

// Times.
const (
	// MaxWait is the longest that a request is held.
	MaxWait = 25 * time.Second
	// GrantLife is how long a grant can be redeemed.
	GrantLife = 30 * time.Second
	// ChallengeLife is how long an agent may take to sign a challenge.
	ChallengeLife = 30 * time.Second
	// SessionLife is how long an agent's session token lasts.
	SessionLife = 10 * time.Minute
	// AnswerTimeout is the time from an agent's claim of an offer to its answer
	// after which the next candidate gets the offer.
	AnswerTimeout = 3 * time.Second
	// JobMemory is how long the broker keeps a job after its last use.
	JobMemory = 60 * time.Second
)
