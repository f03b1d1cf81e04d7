// Package identity is who an agent or a user is: an SSH key, what it signs, the
// list in which an operator names the agents that may serve, and the one in
// which a client keeps the agents that it has met.
//
// Signatures are SSHSIG (OpenSSH's PROTOCOL.sshsig), so ssh-keygen -Y verify
// accepts them. Each purpose has a namespace of its own, and the signed bytes
// name purpose and version again, so that a signature made for one purpose is
// worth nothing for another.
//
// An agent, and likewise a user, proves itself to a broker by challenge and
// response:
//
//	agent                                         broker
//	  │ hello: public key, agent nonce ─────────────▶│
//	  │◀──────────────── challenge, origin, expiry ──│ remembers nothing
//	  │ session: both again, SSHSIG over             │
//	  │   domain, version, role, origin,             │
//	  │   challenge, agent nonce, fingerprint ──────▶│ checks all of it
//	  │◀──────────────────────────── session token ──│
//
// The agent signs the origin that it dialled, not one that it was told. A
// broker that passes on another broker's challenge so gains nothing.
package identity

// SSHSIG namespaces, one for each purpose.
const (
	NamespaceSession = "session@farforge"
	NamespaceReport  = "job-report@farforge"
)
