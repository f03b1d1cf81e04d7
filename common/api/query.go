package api

import (
	"fmt"
	"net/url"

	"github.com/farforge/farforge/common/lexical"
	"github.com/farforge/farforge/common/toolchain"
)

// AgentQuery selects agents for GET /agents. The zero value selects all.
type AgentQuery struct {
	// Target and Toolchain are as in a [GrantRequest]; one capability must have
	// both.
	Target, Toolchain string
	// Tags are the tags that an agent must have, all of them.
	Tags []string
}

// Validate reports the first parameter that is out of its form or its range.
func (q *AgentQuery) Validate() error {
	if q.Target != "" && !lexical.Name(q.Target) {
		return fmt.Errorf("target: %q is not a chip name such as esp32c3", q.Target)
	}
	if _, err := toolchain.Parse(q.Toolchain); err != nil {
		return fmt.Errorf("toolchain: %w", err)
	}
	return validTags("tag", q.Tags)
}

// Values returns the query as parameters of a URL.
func (q *AgentQuery) Values() url.Values {
	v := url.Values{}
	if q.Target != "" {
		v.Set("target", q.Target)
	}
	if q.Toolchain != "" {
		v.Set("toolchain", q.Toolchain)
	}
	for _, tag := range q.Tags {
		v.Add("tag", tag)
	}
	return v
}

// ParseAgentQuery reads the output of Values and validates it. It ignores unknown
// parameters. Its errors name the parameter.
func ParseAgentQuery(v url.Values) (AgentQuery, error) {
	q := AgentQuery{Target: v.Get("target"), Toolchain: v.Get("toolchain"), Tags: v["tag"]}
	for _, once := range []string{"target", "toolchain"} {
		if len(v[once]) > 1 {
			return AgentQuery{}, fmt.Errorf("%s: it occurs %d times; at most one is allowed", once, len(v[once]))
		}
	}
	if err := q.Validate(); err != nil {
		return AgentQuery{}, err
	}
	return q, nil
}

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
	// MaxTrickled bounds the candidates of each end of a job. The broker counts those
	// that trickle, and the other end also those in the description.
	MaxTrickled = 32
)

// Event is one element of the response to GET /signaling/{job_id}/events: a
// candidate of the other end or, for a client that did not get it in the response
// to its offer, the agent's answer.
type Event struct {
	// Seq counts from 1. The next request has the last one received.
	Seq int `json:"seq"`
	// Candidate is opaque to the broker.
	Candidate []byte `json:"candidate,omitempty"`
	// Answer is opaque to the broker. An event has it or a candidate.
	Answer []byte `json:"answer,omitempty"`
}
