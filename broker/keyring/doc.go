// Package keyring keeps a broker's secrets in its state folder: the keys that
// sign grants, the word of each for its successor, and the secret behind
// challenges and sessions.
//
//	grant-keys.json   the keys and rotations, all in one file     0600
//	session-secret    32 bytes in base64                          0600
//
//	key 1 ──signs grants──┤ verifies │ forgotten
//	                      └ rotation ┐
//	key 2                            ├──signs grants──┤ verifies │ …
//	        Rotate ───────▲          ▲ overlap ends
//
// Rotate makes a key, has the old one vouch for it and erases the old private
// half, in one replacement of one file. So whatever moment a crash comes at, the
// folder holds the state before or the state after. From then on the new key
// signs; grants of the old one are good until the overlap ends. Who has pinned
// an old key follows the rotations, which stay.
//
// A broker that runs looks at the file every second. The session secret has
// nothing to do with the keys: a rotation ends no session.
package keyring
