// Package disk keeps files that several processes share: a broker that reads
// them, and commands that change them under it.
//
//	reader    Read ──▶ data, Version ─── Changed? ──▶ Read again
//	writer    Lock ──▶ Read ──▶ Replace ──▶ unlock
//
// A file is replaced whole, so that readers need no lock and a crash leaves the
// old one or the new one. The lock is on the file's folder, so that it leaves
// nothing behind and outlives the file that is replaced under it.
package disk
