// Package interop holds no code, only tests: flashing tools that nobody here
// wrote talk to the simulated chip, and so show that it is like a chip.
//
//	espflasher ──── go.bug.st/serial ──▶ pseudo-terminal ──▶ simulated-chip
//	esptool-js ──── WebSerial shim ────▶ TCP on loopback ──▶ simulated-chip
//
// It is a module of its own, so that the product does not depend on those tools,
// and it imports nothing of the product either: it builds and starts the command.
// Run it with
//
//	cd examples/simulated-chip/interop && go test ./...
//
// The second part needs Node and npm (Debian: nodejs, npm) and skips without.
package interop
