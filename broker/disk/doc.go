// Package disk keeps files that several processes share: a broker that reads
// them, and commands that change them under it.
//
//	reader    Read ──▶ data, Version ─── Changed? ──▶ Read again
//	writer    Lock ──▶ Read ──▶ wholefile.Replace ──▶ unlock
//
// A file is replaced whole, so that readers need no lock. The lock is on the file's folder, so that it leaves
// nothing behind and outlives the file that is replaced under it.
package disk
