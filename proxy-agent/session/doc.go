// Package session is one peer connection, the agent's end: it decides whether a
// client may have what it asks for, and then does it.
//
// The broker introduces; it is not believed. Before anything of a job runs, the
// agent itself checks, in this order:
//
//	grant      signed by a pinned key of this broker (trust.go), not  Admit
//	           expired by the broker's clock (clock.go), for this
//	           job, for this agent
//	offer      opens with the sealing key, if it is sealed            Admit
//	           announces the certificate that the grant names         Admit
//	job id     not used before (once.go)                              Answer
//	DTLS       the certificate presented is that one                  Serve
//	channels   those that the grant lists, others are closed          Serve
//
// It signs its answer with the certificate that it will present, so that the
// client need not believe the broker either.
//
// Then one job runs, as common/channel describes it:
//
//	espctl    build ──▶ stage, log, problem, result ◀── ; cancel at any time
//	source    ──▶ a tree into a private workspace, unless the client
//	          names an archive to be fetched (receive.go)
//	firmware  ◀── the artifacts and a signed statement about them
//	          (provenance.go)
//
// All channels together keep to the rates of the grant (throttle.go).
//
// The job ends, and everything of it is killed and removed, when it is done,
// when the client cancels or vanishes, when the session's time is over, or when
// the agent stops.
package session
