//go:build unix && !linux

package main

import (
	"os"
	"testing"
)

func awaitEcho(t *testing.T, _ *os.File, _ bool) { t.Skip("only for Linux") }
