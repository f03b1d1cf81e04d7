package api

import (
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// Paths of the HTTP API, as net/http's ServeMux spells their patterns.
const (
	PathGrantRequest = "/grant/request"
	PathOffer        = "/signaling/{job_id}/offer"
	PathAnswer       = "/signaling/{job_id}/answer"
	PathConfirmation = "/signaling/{job_id}/confirmation"
	PathAgents       = "/agents"
	PathAgentHello   = "/agents/hello"
	PathAgentSession = "/agents/session"
	PathAgentPoll    = "/agents/poll"
	PathAgentReport  = "/agents/report"
	PathUserHello    = "/users/hello"
	PathUserSession  = "/users/session"
	PathServiceAgent = "/services/agents"
	PathServiceUsers = "/services/users"
	PathHealth       = "/health"
	PathMetrics      = "/metrics"
	PathJWKS         = "/.well-known/jwks.json"
)

// WaitParam is the query parameter that asks for a shorter wait than [MaxWait], in
// whole seconds, for a poll or an offer. Fronts and caches need it.
const WaitParam = "wait"

// SessionHeader is the response header of a poll with a fresh session token, once
// the agent's own is past half its life ([SessionLife]). The agent uses the fresh
// one from then on; both are valid until they expire.
const SessionHeader = "Farforge-Session"

// Media types of the bodies.
const (
	TypeJSON    = "application/json"
	TypeProblem = "application/problem+json"
	// TypeOpaque is the type of offers, answers and candidates: bytes that only
	// the two peers read.
	TypeOpaque = "application/octet-stream"
)

// GrantRequest is the body of POST /grant/request: what a client needs.
type GrantRequest struct {
	// PeerFingerprint is the SHA-256 of the client's DTLS certificate (DER), as
	// RFC 8122 writes it: upper-case hexadecimal bytes with colons between. A
	// request may spell it in lower case and put "sha-256:" or "sha-256 " in
	// front; Validate brings it into this form.
	PeerFingerprint string `json:"peer_fingerprint"`
	// RequiredChannels are the labels of the requested data channels.
	RequiredChannels []string `json:"required_channels"`
	// CPUCores and MemoryMB (MiB) are the build's limits. Cores may be a fraction,
	// such as 0.5.
	CPUCores capacity.CoreShare `json:"cpu_cores"`
	MemoryMB int                `json:"memory_mb"`
	// TimeoutSecs bounds the whole session on the agent.
	TimeoutSecs int `json:"timeout_secs"`
	// Target is the chip, such as "esp32c3". Empty accepts any agent, and
	// leaves the choice to the recipe that recognizes the project.
	Target string `json:"target,omitempty"`
	// Toolchain is NAME or NAME@CONSTRAINT, such as "esp-idf@~5.3"; see
	// common/toolchain.
	Toolchain string `json:"toolchain,omitempty"`
	// Tags are the tags that the agent must have, all of them, such as "eu".
	Tags []string `json:"tags,omitempty"`
	// Kind is the kind of the project, such as "esp-idf" or "platformio": only
	// agents with a recipe of this kind get the job. Empty: unknown.
	Kind string `json:"kind,omitempty"`
	// Project is an opaque key that is the same for every build of one
	// project. It must not contain the project's name.
	Project string `json:"project,omitempty"`
	// NAT is the client's NAT behavior, if it is known; see common/nat.
	NAT string `json:"nat,omitempty"`
	// Agents pins the job to agents, by fingerprint or name. Empty: any.
	Agents []string `json:"agents,omitempty"`
	// ExcludeAgents are agents that must not get the job, by fingerprint or
	// name, such as the agent whose build another one reproduces.
	ExcludeAgents []string `json:"exclude_agents,omitempty"`
	// Explain asks for the scores of the candidates.
	Explain bool `json:"explain,omitempty"`
}

// GrantResponse answers a [GrantRequest].
type GrantResponse struct {
	JobID string `json:"job_id"`
	// Grant is the signed token to present with the offer; see common/grant.
	Grant      string      `json:"grant"`
	Candidates []Candidate `json:"candidates"`
	ICEServers []ICEServer `json:"ice_servers"`
	// ExpiresAt is the end of the time to redeem the grant.
	ExpiresAt time.Time `json:"expires_at"`
	// SameNetwork reports that the client and one of the candidates seem to share
	// a network, so that local addresses are useful.
	SameNetwork bool `json:"same_network,omitempty"`
	// Explanation has the scores of the candidates, best first, if the request
	// asked for it.
	Explanation []Explained `json:"explanation,omitempty"`
}

// Candidate is an agent that may claim the job.
type Candidate struct {
	// Fingerprint is the agent's SSH key fingerprint, "SHA256:…".
	Fingerprint string `json:"fingerprint"`
	// Name is the operator's name for it.
	Name string `json:"name"`
	// PublicKey is the agent's, one line in OpenSSH format; its fingerprint is
	// Fingerprint.
	PublicKey string `json:"public_key,omitempty"`
	// Sealing is the key to seal the offer to; see common/envelope.
	Sealing *SealingKey `json:"sealing,omitempty"`
}

// SealingKey is an agent's age key, signed by the agent.
type SealingKey struct {
	// Recipient is an age X25519 recipient, "age1…".
	Recipient string `json:"recipient"`
	// Signature is an armored SSHSIG by the agent's key over the recipient.
	Signature string `json:"signature"`
}

// ICEServer is one entry of WebRTC's RTCIceServer list.
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// Waiting is the body of a 202 to an offer: no agent has answered yet, and the
// client should post the same offer again with the fresh grant. It has the form of
// a problem document, which some clients can show, with extension members (RFC
// 9457, section 3.2), but it is not an error.
type Waiting struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   Code   `json:"code"`

	JobID     string    `json:"job_id"`
	Grant     string    `json:"grant"`
	ExpiresAt time.Time `json:"expires_at"`
	// Position is the job's place among the waiting ones, from 1; 0 is unknown.
	Position int `json:"position,omitempty"`
	// EstimateSecs is the estimated time until the job starts, in seconds, from the
	// expected times of the jobs before it; 0 is unknown.
	EstimateSecs int `json:"estimate_secs,omitempty"`
}

// HelloRequest is the body of POST /agents/hello and POST /users/hello: an agent
// or a user asks for a challenge.
type HelloRequest struct {
	// PublicKey is one line in OpenSSH authorized_keys format.
	PublicKey string `json:"public_key"`
	// Nonce is the requester's random contribution, 32 bytes.
	Nonce []byte `json:"nonce"`
}

// HelloResponse carries the broker's challenge.
type HelloResponse struct {
	// Challenge is opaque to the requester. It carries all that the broker needs
	// later, so that the broker stores nothing.
	Challenge []byte `json:"challenge"`
	// Origin is the broker's name for itself, such as
	// "https://broker.example.org". The requester signs the origin that it dialed,
	// and refuses a broker with another one.
	Origin    string    `json:"origin"`
	ExpiresAt time.Time `json:"expires_at"`
}

// SessionRequest is the body of POST /agents/session and POST /users/session: the
// response to the challenge.
type SessionRequest struct {
	PublicKey string `json:"public_key"`
	Nonce     []byte `json:"nonce"`
	Challenge []byte `json:"challenge"`
	// Signature is an armored SSHSIG over what common/identity's Challenge
	// makes of these fields.
	Signature string `json:"signature"`
}

// SessionResponse carries the token for further requests.
type SessionResponse struct {
	Session   string    `json:"session"`
	ExpiresAt time.Time `json:"expires_at"`
	// Name is the operator's name for this agent or user.
	Name string `json:"name"`
}

// Status is the body of POST /agents/poll: an agent's present abilities. The poll
// is the heartbeat.
type Status struct {
	Version     string   `json:"version"`
	TotalCores  int      `json:"total_cores"`
	FreeCores   int      `json:"free_cores"`
	TotalMemMB  int      `json:"total_memory_mb"`
	FreeMemMB   int      `json:"free_memory_mb"`
	RunningJobs []string `json:"running_jobs,omitempty"`
	// EndedJobs are the last jobs that the agent answered and that have ended. A job
	// that is neither here nor in RunningJobs may still be on its way to the agent.
	EndedJobs    []string     `json:"ended_jobs,omitempty"`
	Capabilities []Capability `json:"capabilities"`
	// Recipes are the recipes that the agent builds with. Null: the agent does not
	// announce its recipes, and is assumed to have one for every kind.
	Recipes []Recipe `json:"recipes,omitzero"`
	// Tags are further properties, such as "eu" or "gpu". Tags in the operator's
	// list replace them.
	Tags []string `json:"tags,omitempty"`
	// Warm are the project keys, as in grant requests, of the projects that the
	// agent keeps caches or workspaces for, last used first. Null: not announced.
	Warm []string `json:"warm,omitzero"`
	// Sealing is the key for sealed offers.
	Sealing *SealingKey `json:"sealing,omitempty"`
	// NAT is the agent's NAT behavior, if it is known; see common/nat.
	NAT string `json:"nat,omitempty"`
	// Draining announces that the agent finishes its jobs and takes no new ones.
	// The broker answers such a poll at once with 204.
	Draining bool `json:"draining,omitempty"`
	// SoftLimits reports that no control groups enforce the limits of builds.
	SoftLimits bool `json:"soft_limits,omitempty"`
}

// Capability says that an agent can build for a target with a toolchain.
type Capability struct {
	Target    string `json:"target"`
	Toolchain string `json:"toolchain"`
	Version   string `json:"version"`
}

// Recipe is one way to build projects that an agent has.
type Recipe struct {
	// Name is the recipe's own, such as "esp-idf".
	Name string `json:"name"`
	// Kind is the kind of project that it recognizes, as [GrantRequest.Kind]
	// names it. Empty: any project that names no kind.
	Kind string `json:"kind,omitempty"`
	// Targets are the chips that it builds for; empty: any.
	Targets []string `json:"targets,omitempty"`
	// Toolchains are those that it uses, as NAME or NAME@VERSION.
	Toolchains []string `json:"toolchains,omitempty"`
}

// Job is the body of a 200 to a poll: an offer to answer.
type Job struct {
	JobID string `json:"job_id"`
	Grant string `json:"grant"`
	// Offer is the client's opaque offer.
	Offer      []byte      `json:"offer"`
	ICEServers []ICEServer `json:"ice_servers"`
	// Claim is the number of this claim of the job; a report of the job carries it.
	Claim int `json:"claim,omitempty"`
	// AnswerBy is the time at which the broker gives the job to another agent.
	AnswerBy time.Time `json:"answer_by"`
	// SameNetwork reports that agent and client seem to share a network, so that
	// local addresses are useful.
	SameNetwork bool `json:"same_network,omitempty"`
}

// Outcome is how a job ended.
type Outcome string

// The outcomes. Only OutcomeAgentFailed counts against the agent.
const (
	OutcomeSucceeded   Outcome = "succeeded"
	OutcomeBuildFailed Outcome = "build_failed" // the user's source or settings
	OutcomeCanceled    Outcome = "canceled"
	OutcomeTimedOut    Outcome = "timed_out"
	OutcomeRefused     Outcome = "refused"    // the agent did not accept the grant or the project
	OutcomeLost        Outcome = "lost"       // no connection, or it broke
	OutcomeAgentFailed Outcome = "agent_fail" // the agent's own fault
)

// Report is the body of POST /agents/report: how a job ended.
type Report struct {
	JobID string `json:"job_id"`
	// Claim is the number of the agent's claim, so that a repeated refusal of an
	// older claim does not end a newer one; 0 is unknown.
	Claim      int        `json:"claim,omitempty"`
	Outcome    Outcome    `json:"outcome"`
	DurationMS int64      `json:"duration_ms"`
	Artifacts  []Artifact `json:"artifacts,omitempty"`
	// Signature is an armored SSHSIG by the agent over what
	// [Report.SignedBytes] returns.
	Signature string `json:"signature"`
}

// Artifact names one file of a build by its content.
type Artifact struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // lower-case hexadecimal
}

// ListedAgent is one agent in the operator's list: an element of the response to
// GET /services/agents, and the response to POST.
type ListedAgent struct {
	Fingerprint string `json:"fingerprint"`
	Name        string `json:"name"`
	PublicKey   string `json:"public_key"`
	// Targets limits what the agent may build for; empty is all.
	Targets []string `json:"targets,omitempty"`
	// Tags are those of the list, or without any the agent's own.
	Tags []string `json:"tags,omitempty"`
	// Alive reports whether it polls.
	Alive bool `json:"alive"`
}

// AddAgent is the body of POST /services/agents.
type AddAgent struct {
	// Line is one line of an authorized_agents file.
	Line string `json:"line"`
}

// Usage is the response to GET /services/users.
type Usage struct {
	// Defaults are the limits of users without limits of their own.
	Defaults UserLimits `json:"defaults"`
	// Users are the ones in the users file and the ones that have used something
	// today.
	Users []UserUsage `json:"users"`
}

// UserLimits are a user's limits; 0 is no limit.
type UserLimits struct {
	Jobs        int `json:"jobs"`
	Grants      int `json:"grants_per_minute"`
	SessionSecs int `json:"session_secs_per_day"`
}

// UserUsage is the limits and the usage of one user.
type UserUsage struct {
	User   string     `json:"user"`
	Limits UserLimits `json:"limits"`
	// JobsNow are under way; SessionSecsToday is the time of today's sessions on
	// agents (UTC), with that of running ones so far.
	JobsNow          int `json:"jobs_now"`
	SessionSecsToday int `json:"session_secs_today"`
}

// Health is the body of GET /health.
type Health struct {
	Status  string `json:"status"` // "ok" or "draining"
	Version string `json:"version"`
	// STUN are servers to probe a NAT with, as URLs.
	STUN []string `json:"stun,omitempty"`
}
