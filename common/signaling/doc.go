// Package signaling is the HTTP client to a broker, for clients and agents. It
// speaks what common/api defines and nothing more.
//
// Every method is one bounded request unless it says that it repeats. Errors
// are of two kinds, both found by errors.As:
//
//   - *api.Problem: the broker answered, and this is its answer.
//   - *Unreachable: no broker answered at all. It may be worth another try.
//
// What is worth another try is judged in one place, [Retryable]; how long to
// wait before it, by [Backoff].
package signaling
