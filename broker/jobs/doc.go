// Package jobs implements the life of a job at the broker. Each job is one record,
// a [Job], under one mutex; a [Board] has all records. The file job.go has one
// method for each event, in the order of a job's life. The package does not depend
// on HTTP.
//
// # States
//
//	POST /grant/request
//	       │ grant
//	       ▼
//	  ┌─────────┐ offer   ┌─────────┐ claim: a candidate   ┌─────────┐
//	  │ granted │ ──────▶ │ waiting │ ──── has room ─────▶ │ claimed │
//	  └─────────┘         └─────────┘                      └─────────┘
//	   the request ends or │   ▲  ▲                          │  │   │
//	   the client is gone  ▼   │  └── late, refuse, revoke, ─┘  │   │ every candidate
//	                  ┌────────┴┐     handBack                  │   │ was late or
//	                  │  away   │                        answer │   │ has refused
//	                  └─────────┘                               ▼   ▼
//	   the client offers again,                      ┌──────────┐  ┌────────┐
//	   or waits for events: waiting                  │ answered │  │ failed │
//	                                                 └──────────┘  └────────┘
//	        report, confirm, in any order: noted in the answered job
//	        expire: the time of a claim (then late) or of a session is over
//	   any of them ──▶ forgotten
//
// A job that is away keeps its place in the lines, but no agent can claim it: no
// agent works for a client that may not return. A client that went away while its
// job was claimed finds the answer if it returns in time. An offer is the same if
// the job, the client and the bytes are the same; other bytes under a known job
// are refused with [ErrAlreadyOffered].
//
// # Events and their callers
//
//	event       caller                                            Board method
//	grant       POST /grant/request                               Grant
//	offer       POST /signaling/{job}/offer                       Offer
//	claim       POST /agents/poll, through the rendezvous         Poll
//	handBack    the same, when its response cannot be written     Claim.Lost
//	answer      POST /signaling/{job}/answer                      Answer
//	candidate   POST /signaling/{job}/candidate                   Candidate
//	(events)    GET  /signaling/{job}/events                      Events
//	refuse      POST /agents/report with refused or agent_fail    Report
//	report      POST /agents/report                               Report
//	confirm     POST /signaling/{job}/confirmation                Confirm
//	expire      the job's timer; late if it was claimed           –
//	revoke      the directory, when an agent is unlisted          –
//	forget      the sweeper                                       –
//
// # What a record has
//
// The need, parsed once; the user, and the room that the job takes in the user's
// quota; the candidates, with their scores for the explanation; its place in their
// lines; the claims, of which the last holds the job; the mailbox with the
// candidates and the answer on their way; the outcomes that the agent reports and
// the client confirms, and whether the scheduler has learned from them. Other
// packages own the facts about agents: broker/directory has their presence and
// reservations, and broker/scheduler has the estimates about them.
//
// # Concurrency
//
// All methods of the Board may be called concurrently. There is no global lock.
// Locks are taken in the order: part of the table of jobs, agent (broker/
// rendezvous), job, and below it the scheduler's and the user's account. An event
// changes the record under its mutex and returns what is to be done next (dispatch
// the job, rematch an agent that has room again, learn, log), which the Board does
// once the record is unlocked.
//
// # Bounds, and when a record is forgotten
//
// Config.MaxJobs bounds the records and Config.MaxBytes their offers and answers;
// candidates are bounded by number and bytes. A job that was granted and never
// offered is forgotten Config.Memory after its grant has expired, or when some
// 16 000 newer jobs were granted; its signed grant brings it back. A job that
// waits, is away or has failed is forgotten Config.Memory after its last request.
// An answered job is kept until no confirmation can follow, or ten minutes after
// the report and the confirmation; if half of MaxJobs are in memory, only until
// its client has had the answer for Config.AnswerMemory. A restart forgets all:
// grants that an earlier process has signed are redeemed, and the reports of its
// jobs are accepted.
package jobs
