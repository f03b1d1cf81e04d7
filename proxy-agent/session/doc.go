// Package session is one peer connection, the agent's end: it decides whether a
// client may have what it asks for, and then does it.
//
// The broker introduces; it is not believed. Before anything of a job runs, the
// agent itself checks, in this order:
//
//	grant      signed by a pinned key of this broker, not expired     Admit
//	           for this job, for this agent
//	offer      announces the certificate that the grant names         Admit
//	job id     not used before                                        Answer
//	DTLS       the certificate presented is that one                  Serve
//	channels   those that the grant lists, others are closed          Serve
//
// Then one job runs, as common/channel describes it:
//
//	espctl    build ──▶ stage, log, problem, result ◀── ; cancel at any time
//	source    ──▶ a tree into a private workspace
//	firmware  ◀── the artifacts
//
// The job ends, and everything of it is killed and removed, when it is done,
// when the client cancels or vanishes, when the session's time is over, or when
// the agent stops.
package session
