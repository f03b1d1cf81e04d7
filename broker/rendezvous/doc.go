// Package rendezvous is where an offer meets a poll. It knows nothing of HTTP
// and judges no grant or key, does no I/O and has no global lock: each agent
// and each job is guarded by its own mutex.
//
// # Who calls what
//
//	agent's poll                                     client's offer
//	    │                                                  │
//	    │ Park ───▶ slot ◀──── claims the first candidate ─│ Offer
//	    │            │         whose slot is open and fits │  (blocks)
//	    │◀─ Assignment                                     │
//	    │                      none open: the job stands   │
//	    │                      in the line of every        │
//	    │                      candidate, and the next one │
//	    │                      that parks takes it         │
//	    │ Answer ─────────────────────────────────────────▶│ returns
//
// # A job
//
//	                 ┌──── claim is late, refused or handed back ───┐
//	                 ▼                                              │
//	Offer ───▶ ┌─────────┐  a candidate parks,     ┌─────────┐      │
//	           │ waiting │ ──or is parked ───────▶ │ claimed │ ─────┤
//	           └─────────┘                         └─────────┘      │
//	   wait ends │  ▲ the same client                  │ Answer     │ every candidate
//	   or client │  │ offers the same                  ▼            ▼ was late
//	   is gone   ▼  │ bytes again                ┌──────────┐   ┌────────┐
//	           ┌─────────┐                       │ answered │   │ failed │
//	           │  away   │                       └──────────┘   └────────┘
//	           └─────────┘
//	any of them ──▶ dropped, Config.Memory after its last use
//
// An agent that may not serve any more is expelled: its claims end as if it had
// refused the jobs for good, and [Poll.Gone] ends its parked poll.
//
// A job that is away keeps its place in the lines but nobody can claim it: no
// agent works for a client that may not come back. A client that went while
// its job was claimed finds the answer if it comes back in time. A job is the
// same if its id, its client and the bytes of its offer are the same; other
// bytes under a known id are refused with [ErrAlreadyOffered].
//
// # Why nothing is lost
//
// A parked poll is a slot: a channel of capacity one. Whoever takes the slot
// out of its agent, under the agent's mutex, is the only one who may fill or
// close it, so filling never blocks and never happens twice. A poll that ends
// takes its own slot out; if the slot is gone already, there is a job in it.
// A poll that merely timed out delivers that job; one whose request was
// cancelled hands it back, and it goes on to the next candidate with its place
// in the lines unchanged.
//
// A job is claimed under its own mutex, and only while it waits, so that it
// has one holder at a time. Putting a job in an agent's line and looking for
// that agent's slot happen under one hold of the agent's mutex, so that an
// agent that parks meanwhile sees the job.
//
// Locks are taken in the order shard, agent, job.
package rendezvous
