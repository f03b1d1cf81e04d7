package api

import "time"

// Score explains an agent's place in the list of candidates, with each term of the
// expected time to a successful result. Times are in seconds.
//
//	Expected = (Wait + Success·Duration + (1−Success)·Lost) / Success
//
// That is the time of attempts that are repeated until one succeeds: each waits and
// then takes Duration or, if it fails, Lost. doc/scheduling.md has the derivation.
type Score struct {
	Expected float64 `json:"expected_seconds"`
	Wait     float64 `json:"wait_seconds"`
	Duration float64 `json:"duration_seconds"`
	Lost     float64 `json:"lost_seconds"`
	Success  float64 `json:"success"`
	// Speed and Warmth are the factors in Duration that belong to this agent
	// alone: below 1 is faster than the farm's average.
	Speed  float64 `json:"speed_factor"`
	Warmth float64 `json:"warmth_factor"`
	// Doubt is the part of the standard deviation of Duration's logarithm that
	// further results of this agent would remove, and Luck the factor that was
	// drawn from it.
	Doubt float64 `json:"doubt"`
	Luck  float64 `json:"luck_factor"`
	// Resting agents failed repeatedly; the scheduler tries them again later.
	Resting bool `json:"resting,omitempty"`
	// Relay reports that NATs prevent a direct connection of this agent and the
	// client. A free agent without this obstacle is placed before it.
	Relay bool `json:"relay,omitempty"`
	// Shunned agents failed a job of the same user a few minutes ago, as the user
	// confirmed. For this user, a free agent is placed before them.
	Shunned bool `json:"shunned,omitempty"`
}

// Explained is a candidate with its score.
type Explained struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
	Score
}

// Confirmation is the body of POST /signaling/{job_id}/confirmation: the client's
// report on a job's end. The broker counts an agent's success only if the client
// confirms it.
type Confirmation struct {
	// Agent is the fingerprint of the agent that answered.
	Agent string `json:"agent"`
	// Outcome is succeeded once the client has the artifacts and has verified them.
	// lost is for a connection that failed or broke; agent_fail for artifacts that
	// differ from the signed ones, and other faults of the agent.
	Outcome Outcome `json:"outcome"`
	// DurationMS is the time from the answer to the outcome, in milliseconds.
	DurationMS int64 `json:"duration_ms"`
}

// AgentInfo is what users see of one agent: an element of the response to
// GET /agents.
type AgentInfo struct {
	Fingerprint string     `json:"fingerprint"`
	Name        string     `json:"name"`
	State       AgentState `json:"state"`
	// LastSeen is the time of its last poll; null: none since the broker's start.
	LastSeen *time.Time `json:"last_seen,omitempty"`
	Version  string     `json:"version,omitempty"`
	// Free is the capacity for further jobs: the agent's last report, less later
	// reservations.
	TotalCores   int          `json:"total_cores,omitempty"`
	FreeCores    int          `json:"free_cores"`
	TotalMemMB   int          `json:"total_memory_mb,omitempty"`
	FreeMemMB    int          `json:"free_memory_mb"`
	RunningJobs  int          `json:"running_jobs"`
	Capabilities []Capability `json:"capabilities,omitempty"`
	Tags         []string     `json:"tags,omitempty"`
	NAT          string       `json:"nat,omitempty"`
	// SoftLimits reports that no control groups enforce the limits of builds.
	SoftLimits bool `json:"soft_limits,omitempty"`
}

// AgentState is the state of an agent.
type AgentState string

// The states.
const (
	AgentIdle     AgentState = "idle"     // runs nothing
	AgentBusy     AgentState = "busy"     // runs jobs; more may fit
	AgentResting  AgentState = "resting"  // failed repeatedly; gets jobs again later
	AgentDraining AgentState = "draining" // finishes its jobs, takes no new ones
	AgentOffline  AgentState = "offline"
)
