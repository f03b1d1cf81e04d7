package api

import "time"

// Score is why an agent is where it is in the list of candidates: each term of
// the expected time to a successful result. Times are in seconds.
//
//	Expected = (Wait + Success·Duration + (1−Success)·Lost) / Success
//
// That is the time of attempts that are repeated until one succeeds: each waits
// and then takes Duration or, if it fails, Lost. doc/scheduling.md derives it.
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
	// Doubt is the deviation of the logarithm of Duration that more results of
	// this agent would take away, and Luck what was drawn from it.
	Doubt float64 `json:"doubt"`
	Luck  float64 `json:"luck_factor"`
	// Resting agents failed again and again; they are tried again in time.
	Resting bool `json:"resting,omitempty"`
	// Relay says that NATs keep this agent and the client from meeting directly.
	// Such agents come behind one that is free and can meet.
	Relay bool `json:"relay,omitempty"`
	// Shunned agents have failed a job of the same user a few minutes ago, by the
	// user's word. They come behind one that is free, for this user.
	Shunned bool `json:"shunned,omitempty"`
}

// Explained is a candidate with its score.
type Explained struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
	Score
}

// Confirmation is the body of POST /signaling/{job_id}/confirmation: how a job
// ended, in the words of the client. The broker believes an agent's success only
// if the client has it, too.
type Confirmation struct {
	// Agent is the fingerprint of the agent that answered.
	Agent string `json:"agent"`
	// Outcome is succeeded once the artifacts are here and verified. lost is for
	// an agent that could not be connected to, or went away; agent_fail for
	// artifacts that are not what the agent has signed, and the like.
	Outcome Outcome `json:"outcome"`
	// DurationMS is the time from the answer to the outcome, in milliseconds.
	DurationMS int64 `json:"duration_ms"`
}

// AgentInfo is what users may know of one agent: an element of the response to
// GET /agents.
type AgentInfo struct {
	Fingerprint string     `json:"fingerprint"`
	Name        string     `json:"name"`
	State       AgentState `json:"state"`
	// LastSeen is when it last polled; null: not since the broker's start.
	LastSeen *time.Time `json:"last_seen,omitempty"`
	Version  string     `json:"version,omitempty"`
	// Free is what jobs can still get, by the agent's own word less what was
	// promised since.
	TotalCores   int          `json:"total_cores,omitempty"`
	FreeCores    int          `json:"free_cores"`
	TotalMemMB   int          `json:"total_memory_mb,omitempty"`
	FreeMemMB    int          `json:"free_memory_mb"`
	RunningJobs  int          `json:"running_jobs"`
	Capabilities []Capability `json:"capabilities,omitempty"`
	Tags         []string     `json:"tags,omitempty"`
	NAT          string       `json:"nat,omitempty"`
}

// AgentState is what an agent is up to.
type AgentState string

// The states.
const (
	AgentIdle     AgentState = "idle"     // runs nothing
	AgentBusy     AgentState = "busy"     // runs jobs; more may fit
	AgentResting  AgentState = "resting"  // failed again and again, and is tried again in time
	AgentDraining AgentState = "draining" // finishes what it has
	AgentOffline  AgentState = "offline"
)
