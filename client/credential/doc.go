// Package credential is how a user proves to a broker who asks:
//
//	access key     a secret line that the operator gave      Bearer KEY
//	SSH key        signs the broker's challenge              Bearer SESSION
//	OIDC token     an identity provider's word, as in CI     Bearer JWT
//	nothing        a broker that is open to all
//
// Secrets come from files that only their owner can read, from the environment,
// from the terminal or from ssh-agent, never from the command line, where every
// process on the machine could read them.
package credential
