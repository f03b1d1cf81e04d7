// Package credential proves the user's identity to a broker:
//
//	access key     a secret line from the broker's operator   Bearer KEY
//	SSH key        signs the broker's challenge               Bearer SESSION
//	OIDC token     a statement of an issuer, as in CI         Bearer JWT
//	none           for a broker that is open to all
//
// Secrets come from files that only their owner can read, from the environment,
// from the terminal or from ssh-agent. They never come from the command line, which
// every process on the machine can read.
package credential
