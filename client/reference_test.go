package main

import (
	"testing"

	"github.com/farforge/farforge/common/command/reference"
)

// TestReference compares doc/reference/client.md and the man pages with the
// command line. `make docs` writes them.
func TestReference(t *testing.T) { reference.Check(t, newCommand(&app{}), "../doc") }
