package api

// Paths for ICE candidates that trickle (RFC 8838), each candidate in a request
// of its own.
const (
	PathCandidate = "/signaling/{job_id}/candidate"
	PathEvents    = "/signaling/{job_id}/events"
)

// AfterParam is the query parameter that continues a list. For
// GET /signaling/{job_id}/events its value is the number of the last event that
// the client has, 0 at first; for a list of agents, the last fingerprint.
const AfterParam = "after"

// Bounds of trickling.
const (
	// MaxCandidate bounds one candidate, sealed or not, in bytes.
	MaxCandidate = 8 << 10
	// MaxTrickled bounds the candidates of each end of a job: those that trickle,
	// at the broker, and those in the description with them, at the other end.
	MaxTrickled = 32
)

// Event is one element of the response to GET /signaling/{job_id}/events: a
// candidate of the other end or, for a client that has not had it in the response
// to its offer, the agent's answer.
type Event struct {
	// Seq counts from 1; the last one seen goes into the next request.
	Seq int `json:"seq"`
	// Candidate is opaque to the broker.
	Candidate []byte `json:"candidate,omitempty"`
	// Answer is opaque to the broker. An event has it or a candidate.
	Answer []byte `json:"answer,omitempty"`
}
