// Package trust is which agents a client believes. It keeps known_agents as ssh
// keeps known_hosts, so that a broker, which only introduces, cannot put itself
// in an agent's place:
//
//	key that is listed           go on
//	name that is not listed      trusted on first use, and the user is told;
//	                             refused with --strict-agents
//	name with another key        refused, loudly
//
// An agent is judged before anything is sent to it, and remembered only after
// it has proved, by a signed answer and by its DTLS certificate, that the key is
// its own. A client that meets an agent for the first time through a hostile
// broker is deceived, as a user of ssh is; the operator's fingerprint, told by
// another way, and client agents trust are for that.
package trust
