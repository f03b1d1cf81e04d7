//go:build race

package main

// raceEnabled reports whether the race detector multiplies what the agent uses.
const raceEnabled = true
