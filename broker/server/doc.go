// Package server is the broker's HTTP face: routes, limits, tokens, errors and
// metrics around broker/rendezvous, broker/scheduler and broker/directory.
// common/api defines what goes over the wire; doc/protocol.md shows it.
//
//	request ─▶ recover, log, count ─▶ route ─▶ token ─▶ body ─▶ handler
//	                                    │        │       │         │
//	                                  404/405   401   413/400   the rooms
//
// The server keeps nothing that a restart may not lose. What must last is in
// tokens: grants are signed (common/grant); challenges and sessions carry a MAC
// under a secret that is derived from the broker's key, so that a broker
// started again with the same key accepts what its predecessor issued.
//
// Every error is a problem document with a stable code. Addresses are neither
// logged nor counted unless Config.UnsafeLogging says so.
package server
