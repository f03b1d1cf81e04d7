package simulation

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var loads = []float64{0.3, 0.7, 0.95}

// BenchmarkFarm runs every policy at every load, prints tables, and plots the steady
// state as SVG files in the folder SIMULATION_PLOTS, or else in a temporary one.
// Its metrics are ratios to the oracle and to the least loaded: in the cold start if
// the name says so, else in the steady state.
func BenchmarkFarm(b *testing.B) {
	dir := os.Getenv("SIMULATION_PLOTS")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "farforge-simulation")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	for _, size := range []struct {
		agents, jobs int
		seeds        uint64
	}{{50, 20000, 3}, {1000, 200000, 1}} {
		for _, arrivals := range []string{"poisson", "bursty"} {
			table := map[string][]Summary{}
			for _, load := range loads {
				b.Run(fmt.Sprintf("agents=%d/%s/load=%v", size.agents, arrivals, load), func(b *testing.B) {
					var got map[string]Summary
					for b.Loop() {
						got = compare(Setting{Agents: size.agents, Jobs: size.jobs, Load: load, Bursty: arrivals == "bursty", Drift: true}, size.seeds)
					}
					for name, s := range got {
						table[name] = append(table[name], s)
					}
					f, o, l := got["farforge"], got["oracle"], got["least loaded"]
					b.ReportMetric(f.Steady.Mean/o.Steady.Mean, "mean/oracle")
					b.ReportMetric(f.Steady.P95/o.Steady.P95, "p95/oracle")
					b.ReportMetric(f.Steady.Mean/l.Steady.Mean, "mean/leastloaded")
					b.ReportMetric(f.Cold.Mean/o.Cold.Mean, "cold-mean/oracle")
					b.ReportMetric(f.Cold.P95/o.Cold.P95, "cold-p95/oracle")
				})
			}
			if len(table["oracle"]) == len(loads) { // -bench may have selected only some
				printTables(table, fmt.Sprintf("%d agents, %s arrivals", size.agents, arrivals))
				for _, m := range []struct {
					name string
					of   func(Summary) float64
				}{{"mean", func(s Summary) float64 { return s.Steady.Mean }}, {"p95", func(s Summary) float64 { return s.Steady.P95 }}} {
					file := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.svg", m.name, size.agents, arrivals))
					if err := draw(table, m.name, m.of, file); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
	}
	fmt.Println("plots are in", dir)
}

func printTables(table map[string][]Summary, title string) {
	for _, phase := range []struct {
		name string
		of   func(Summary) Times
	}{
		{fmt.Sprintf("steady state, after %d jobs for each agent", steadyFrom), func(s Summary) Times { return s.Steady }},
		{fmt.Sprintf("cold start, jobs %d to %d for each agent", coldFrom, coldTo), func(s Summary) Times { return s.Cold }},
	} {
		fmt.Printf("\n%s, %s: seconds from arrival to success\n%-14s", title, phase.name, "")
		for _, load := range loads {
			fmt.Printf("  load %2.0f %%: mean    p95", 100*load)
		}
		fmt.Println()
		for _, c := range contenders {
			fmt.Printf("%-14s", c.name)
			for _, s := range table[c.name] {
				t := phase.of(s)
				fmt.Printf("  %15.1f %6.1f", t.Mean, t.P95)
			}
			fmt.Println()
		}
	}
	fmt.Printf("\n%s: share of attempts in warm workspaces, attempts for each job\n", title)
	for _, c := range contenders {
		fmt.Printf("%-14s", c.name)
		for _, s := range table[c.name] {
			fmt.Printf("  %18.2f %4.2f", s.Warm, s.Attempts)
		}
		fmt.Println()
	}
}
