// Package remote is the client's end of one job, from the grant to the
// artifacts.
//
//	Run
//	 │  certificate ─▶ grant: candidates           introduced by the broker
//	 │  candidates' keys against known_agents
//	 │  sealed offer ─▶ … signed answer            which the broker cannot read
//	 │  connected: DTLS certificate as signed      from here on, peer to peer
//	 ├─▶ espctl    build ▶   ◀ stage, log, problem, result
//	 ├─▶ source    the project's files ▶           at the same time
//	 ├─▶ firmware  ◀ the artifacts                 when they are built
//	 └─▶ accepted, or not ─▶ confirmation          so that the broker learns
//
// build goes out at once while the tree goes up, so that the agent can prepare;
// it starts the command when it has the files.
//
// # How it ends
//
//	the agent's result             success, or the error that it tells
//	the caller's context           cancel ▶, then the result or a few seconds
//	something fails on this side   the same, and the error is this side's
//	the connection breaks          noticed within seconds: the agent is lost
//
// The broker hears of each of these ends, once an agent has answered, in a single
// request that is given two seconds.
//
// Every error is a [cli.Error] with the exit code and what to do. Whatever the
// end, the connection is closed and nothing of the session runs on when Run
// returns.
package remote
