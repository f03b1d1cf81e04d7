package main

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// awaitEcho waits until the terminal's echo is on or off.
func awaitEcho(t *testing.T, terminal *os.File, want bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		if (state.Lflag&unix.ECHO != 0) == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the terminal's echo is not %v", want)
		}
	}
}
