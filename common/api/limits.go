package api

import "time"

// Sizes. A broker refuses longer bodies with 413 before it reads them whole;
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
	// AnswerTimeout is how long an agent may take from claiming an offer to its
	// answer before the next candidate gets the offer.
	AnswerTimeout = 3 * time.Second
	// JobMemory is how long the broker keeps anything about a job after its
	// last use.
	JobMemory = 60 * time.Second
)
