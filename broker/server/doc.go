// Package server is the broker's HTTP API. A handler authenticates the request,
// decodes it, calls one method of broker/jobs or broker/login, and encodes the
// result. common/api defines the bodies; doc/protocol.md documents them.
//
//	request ─▶ recover, log, count ─▶ route ─▶ token ─▶ body ─▶ handler
//	                                    │        │       │         │
//	                                  404/405   401   413/400   jobs, login
//
// The handlers are grouped by audience: [clients], [agents], [public] and
// [operators].
//
// The server keeps no state that must survive a restart. Such state is in tokens:
// grants are signed (common/grant); challenges and sessions carry a MAC under a
// secret that is derived from the broker's key, so that a broker that restarts
// with the same key accepts the tokens of its predecessor.
//
// Every error is a problem document with a stable code. Addresses are logged only
// with Config.UnsafeLogging.
package server
