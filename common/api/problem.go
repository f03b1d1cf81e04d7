package api

import "fmt"

// Code is a stable, machine-readable name of an error. Its meaning never changes;
// texts may.
type Code string

// The codes, by the HTTP status that carries them.
const (
	CodeQueued           Code = "queued"             // 202: not an error, see [Waiting]
	CodeMalformed        Code = "malformed"          // 400
	CodeUnauthorized     Code = "unauthorized"       // 401: no token
	CodeBadToken         Code = "bad_token"          // 401: forged, garbled or of another kind
	CodeBadSignature     Code = "bad_signature"      // 401: also for keys that are not listed
	CodeForbidden        Code = "forbidden"          // 403
	CodeUnknownJob       Code = "unknown_job"        // 404
	CodeNotFound         Code = "not_found"          // 404: no such path
	CodeWrongMethod      Code = "method_not_allowed" // 405
	CodeAlreadyOffered   Code = "already_offered"    // 409
	CodeAlreadyAnswered  Code = "already_answered"   // 409: or another agent has claimed it since
	CodeAlreadyListed    Code = "already_listed"     // 409: the agent's key or name
	CodeAlreadyConfirmed Code = "already_confirmed"  // 409: the client has confirmed another outcome
	CodeExpired          Code = "expired"            // 410
	CodeTooLarge         Code = "too_large"          // 413
	CodeMediaType        Code = "media_type"         // 415
	CodeTooFast          Code = "too_fast"           // 429
	CodeQuota            Code = "quota"              // 429: the user's allowance is used up
	CodeInternal         Code = "internal"           // 500
	CodeNoAgent          Code = "no_agent"           // 503: none alive at all
	CodeNoTarget         Code = "no_target"          // 503: none builds for the target
	CodeNoToolchain      Code = "no_toolchain"       // 503: none has the toolchain
	CodeNoRecipe         Code = "no_recipe"          // 503: none has a recipe for the kind of project
	CodeNoTag            Code = "no_tag"             // 503: none has the tags
	CodeNoCapacity       Code = "no_capacity"        // 503: none is that large
	CodeDraining         Code = "draining"           // 503: the broker is shutting down
	CodeNoAnswer         Code = "no_answer"          // 504: claimed, but never answered
)

// Problem is an error response in the form of RFC 9457, and the error that the
// HTTP clients return for it.
type Problem struct {
	// Type is a URI reference that names the kind of problem.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says in words what happened.
	Detail string `json:"detail,omitempty"`
	Code   Code   `json:"code"`
	// Hints say what to do, one line each.
	Hints []string `json:"hints,omitempty"`
	// RetryAfter is the Retry-After header, in seconds; 0 when absent.
	RetryAfter int `json:"retry_after,omitempty"`
}

// Error makes a Problem an error.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("%s (%d %s)", p.Title, p.Status, p.Code)
	}
	return fmt.Sprintf("%s (%d %s)", p.Detail, p.Status, p.Code)
}
