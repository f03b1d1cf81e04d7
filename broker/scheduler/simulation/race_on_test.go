//go:build race

package simulation

// short: a run is one goroutine and cannot have races, so the race detector needs
// only a part of it.
const short = true
