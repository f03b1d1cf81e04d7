module github.com/farforge/farforge/examples/simulated-chip/interop

go 1.26.0

require tinygo.org/x/espflasher v0.6.1

require (
	github.com/creack/goselect v0.1.2 // indirect
	go.bug.st/serial v1.6.2 // indirect
	golang.org/x/sys v0.0.0-20220829200755-d48e67d00261 // indirect
)
