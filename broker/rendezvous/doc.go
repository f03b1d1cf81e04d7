// Package rendezvous matches jobs with agents' parked polls. It has only the
// agents' slots and lines: broker/jobs owns the jobs, and its record of a job
// implements [Job].
//
//	agent's poll                                     job that waits
//	    │                                                  │
//	    │ Park ───▶ slot ◀──── claims the first candidate ─│ Dispatch
//	    │            │         whose slot is open and fits │
//	    │◀─ claim ───┘                                     │
//	    │                      none open: the job stands   │
//	    │                      in the line of every        │
//	    │                      candidate, and the next one │
//	    │                      that parks claims it        │
//	    │                                                  │
//	    │        Rematch: the agent has room again: the    │
//	    │        parked slot is matched with its line      │
//	    │        once more                                 │
//
// # Nothing is lost
//
// A parked poll is a slot: a channel of capacity one. The goroutine that takes
// the slot out of its agent, under the agent's mutex, is the only one that may
// fill or close it, so filling never blocks and never happens twice. A poll that
// ends takes its own slot out; if the slot is gone already, a claim is in it. A
// poll that timed out delivers that claim; a poll whose request was canceled
// hands it back.
//
// A job enters an agent's line and looks for the agent's slot under one hold of
// the agent's mutex, so an agent that parks meanwhile finds the job.
//
// # Locks
//
// There is no global lock: each agent has its own mutex, and the table of agents
// is locked in parts. The Rendezvous calls the methods of [Job] and
// [Config.Free] with the mutex of one agent held; they must not call it back.
// The order is: part of the table, agent, then whatever the job locks.
package rendezvous
