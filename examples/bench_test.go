package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// BenchmarkFirstLight builds the example remotely and, in the same loop, with
// make on this machine as the baseline. It reports medians:
//
//	setup-ms    from the start of the client to the start of the build command
//	far-ms      the whole `client build` process
//	here-ms     the same compile, run directly
//	added-ms    the difference of the two
//	far/here    their ratio
func BenchmarkFirstLight(b *testing.B) {
	f := newFarm(b, "bench-1")
	dir, local := f.project("far", nil), f.project("here", nil)
	var setup, far, here, added, ratio []float64
	for b.Loop() {
		start := time.Now()
		got := f.client(b.Context(), "build", dir, "--json")
		took := time.Since(start)
		if got.code != 0 {
			b.Fatal(got.stderr)
		}
		var r report
		got.event(b, "result", &r)

		if err := os.RemoveAll(filepath.Join(local, "build")); err != nil {
			b.Fatal(err)
		}
		start = time.Now()
		if out, err := exec.Command("make", "-C", local).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		direct := time.Since(start)

		setup = append(setup, float64(r.Build.SetupMS))
		far = append(far, took.Seconds()*1e3)
		here = append(here, direct.Seconds()*1e3)
		added = append(added, (took-direct).Seconds()*1e3)
		ratio = append(ratio, took.Seconds()/direct.Seconds())
	}
	b.ReportMetric(0, "ns/op") // the medians above replace the mean
	for unit, values := range map[string][]float64{"setup-ms": setup, "far-ms": far, "here-ms": here, "added-ms": added, "far/here": ratio} {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], unit)
	}
}
