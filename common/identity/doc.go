// Package identity identifies agents and users by their SSH keys. It makes and checks
// signatures, reads the list in which an operator authorizes agents, and keeps the list
// of the agents that a client knows.
//
// Signatures are SSHSIG (OpenSSH's PROTOCOL.sshsig), so ssh-keygen -Y verify
// accepts them. Each purpose has a namespace of its own, and the signed bytes
// name purpose and version again, so that a signature made for one purpose is
// invalid for another.
//
// An agent, and likewise a user, proves itself to a broker by challenge and
// response:
//
//	agent                                         broker
//	  │ hello: public key, agent nonce ─────────────▶│
//	  │◀──────────────── challenge, origin, expiry ──│ stores nothing
//	  │ session: both again, SSHSIG over             │
//	  │   domain, version, role, origin,             │
//	  │   challenge, agent nonce, fingerprint ──────▶│ checks all of it
//	  │◀──────────────────────────── session token ──│
//
// The agent signs the origin that it dialed, so a broker gains nothing by passing on
// another broker's challenge.
package identity

// SSHSIG namespaces, one for each purpose.
const (
	NamespaceSession = "session@farforge"
	NamespaceReport  = "job-report@farforge"
)
