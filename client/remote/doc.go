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
//	 └─▶ accepted or refused ─▶ confirmation       to the broker
//
// The client sends build at once and the tree beside it, so that the agent can prepare;
// the agent starts the command when it has the files.
//
// # How it ends
//
//	the agent's result             success, or the error that it names
//	the caller's context           cancel ▶, then the result or a few seconds
//	an error on this side          the same, and the error is this side's
//	the connection breaks          noticed within seconds: the agent is lost
//
// A job whose agent is lost is done once more on another agent. Once an agent has
// answered, the broker gets each end in a single request of at most two seconds.
//
// Every error is a [cli.Error] with an exit code and hints. When Run returns, the
// connection is closed and no goroutine of the job runs.
package remote
