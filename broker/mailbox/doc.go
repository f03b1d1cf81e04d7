// Package mailbox passes ICE candidates between the two ends of a job while
// they connect. It knows nothing of HTTP, of grants or of what a candidate is.
//
//	client                 mailbox of the job                agent
//	Put ──────────────▶ 1 2 3 … from the client ──────────▶ Wait(after)
//	Wait(after) ◀────── 1 2 … from the agent  ◀──────────── Put
//	                            ▲
//	                         Claim: which agent it is
//
// Each direction is a list that only grows, numbered from 1. A reader says what
// it has seen, so that nothing is lost with a broken connection and nothing has
// to be acknowledged. A body that is there already is not added again: who is
// not sure that it arrived may send it again.
//
// The client's list begins with the first thing that its client does, which may
// be before its offer is here. The agent that claims the job reads it from the
// start. When the job goes on to another agent, so does the mailbox; what the
// first one left stays, and the client finds that it does not belong to the
// answer it got.
//
// Everything is bounded: bodies a side and job, bytes in all, one waiting
// reader a side and job. A mailbox is forgotten some time after its last use.
package mailbox
