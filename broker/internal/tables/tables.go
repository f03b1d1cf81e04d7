// Package tables has the two maps that the rooms of the broker share.
//
// [Recent] has a bounded size: it keeps the newest entries and forgets the
// oldest, a whole generation at a time, so that no entry needs a timer or a
// place in a list.
//
//	Put ──▶ young ──(is full)──▶ old ──(young is full again)──▶ forgotten
//
// [Sharded] is a map that is locked in parts, for entries that many requests use
// concurrently. The caller holds the lock of one part while it looks up, adds or
// deletes an entry.
package tables
