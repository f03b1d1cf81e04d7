package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// TestStartIsCheap reads the runtime's trace of package initialization. A regular
// expression at package level would add hundreds of allocations to each start.
func TestStartIsCheap(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "version")
	cmd.Env = append(os.Environ(), asClient+"=1", "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	cmd.Stderr = &trace
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	const most = 100 // allocations of one package
	packages := 0
	line := regexp.MustCompile(`^init (\S+) @.* (\d+) allocs$`)
	for s := bufio.NewScanner(&trace); s.Scan(); {
		m := line.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		packages++
		ours := regexp.MustCompile(`^github\.com/farforge/farforge/(client|common)`).MatchString(m[1])
		if n, _ := strconv.Atoi(m[2]); ours && n > most && !regexp.MustCompile(`/fakefarm|/simulator`).MatchString(m[1]) {
			t.Errorf("the initialization of %s makes %d allocations, want at most %d", m[1], n, most)
		}
	}
	if packages < 10 {
		t.Errorf("the trace has %d packages:\n%s", packages, trace.String())
	}
}

func BenchmarkCommandLine(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newCommand(&app{})
	}
}
