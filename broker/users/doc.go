// Package users knows who may ask for grants. There are three ways to be
// known, and a broker may offer any of them together:
//
//	access key   ff_<id>_<secret>      --users             key:NAME
//	SSH key      session by challenge  --authorized-users  ssh:SHA256:…
//	OIDC token   signed by an issuer   --oidc-issuer       oidc:ISSUER#SUBJECT
//	nobody in particular               --open              anyone
//
// The last column is the user's id, the subject of grants. It is stable: it
// does not change with the key of NAME, the comment of an SSH key or the name
// of a repository.
//
//	users file ───────▶ File ───────┐
//	authorized_users ─▶ Authorized ─┼──▶ Registry ──▶ broker/server
//	issuer ───────────▶ OIDC ───────┘
//
// The files are read again when Check finds that they have changed. A file that
// has become wrong changes nothing and is logged.
//
// Of an access key only a SHA-256 is kept. That suffices, because its secret
// has 256 bits: nobody can try them all. What is secret is compared in constant
// time, and an unknown id costs as much as a wrong secret and gets the same
// error.
package users
