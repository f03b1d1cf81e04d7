//go:build race

package simulation

// short: what runs in one goroutine has no races to find; under the detector a
// part of it is enough.
const short = true
