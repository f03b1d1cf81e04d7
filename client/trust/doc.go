// Package trust decides which agents a client trusts. It keeps known_agents as ssh keeps
// known_hosts, so that a broker cannot pose as an agent:
//
//	known name and key      trusted
//	unknown name            trusted on first use, with a notice to the user;
//	                        refused with --strict-agents
//	known name, other key   refused, with a warning
//
// The client judges an agent before it sends anything, and adds it to known_agents after
// the agent has proved, by a signed answer and by its DTLS certificate, that it holds the
// key. A hostile broker can deceive a client at its first meeting with an agent, as with
// ssh. Against that, the user gets the agent's key from its operator by another way and
// adds it with client agents trust.
package trust
