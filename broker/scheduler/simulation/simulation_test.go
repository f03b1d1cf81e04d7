package simulation

import (
	"encoding/xml"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// contender is a named policy. make returns a new one for each run.
type contender struct {
	name string
	make func(w *world) policy
}

func luck(w *world) *rand.Rand { return rand.New(rand.NewPCG(w.Seed, 99)) }

var contenders = []contender{
	{"random", func(w *world) policy { return &uniform{rnd: luck(w)} }},
	{"round robin", func(*world) policy { return &roundRobin{} }},
	{"least loaded", func(w *world) policy { return &leastLoaded{rnd: luck(w)} }},
	{"two choices", func(w *world) policy { return &twoChoices{uniform{rnd: luck(w)}} }},
	{"snowflake", func(w *world) policy { return &snowflake{rnd: luck(w)} }},
	{"farforge", func(w *world) policy { return newLearned(w) }},
	{"oracle", func(*world) policy { return oracle{} }},
}

// compare runs the named contenders in worlds of one setting, with the seeds 0 to
// n−1, and returns the averages of their summaries.
func compare(s Setting, n uint64, names ...string) map[string]Summary {
	all := map[string]Summary{}
	for seed := range n {
		s.Seed = seed
		w := newWorld(s)
		for _, c := range contenders {
			if len(names) > 0 && !slices.Contains(names, c.name) {
				continue
			}
			got, sum := play(w, c.make(w)).summary(), all[c.name]
			sum.add(got, float64(n))
			all[c.name] = sum
		}
	}
	return all
}

func (s *Summary) add(t Summary, n float64) {
	s.Cold.add(t.Cold, n)
	s.Steady.add(t.Steady, n)
	s.Attempts += t.Attempts / n
	s.Warm += t.Warm / n
	s.GaveUp += t.GaveUp
}

func (s *Times) add(t Times, n float64) {
	s.Mean += t.Mean / n
	s.P95 += t.P95 / n
}

// TestCloseToOracle fails when the scheduler gets worse than its aims.
func TestCloseToOracle(t *testing.T) {
	for _, tt := range []struct {
		agents, jobs int
		load         float64
		bursty       bool
		seeds        uint64
		within       float64
	}{
		{50, 20000, 0.3, false, 3, 1.10}, {50, 20000, 0.7, false, 3, 1.10}, {50, 20000, 0.95, false, 3, 1.20},
		{50, 20000, 0.3, true, 3, 1.10}, {50, 20000, 0.7, true, 3, 1.10}, {50, 20000, 0.95, true, 3, 1.20},
		{1000, 110000, 0.7, false, 1, 1.10},
	} {
		if short && (tt.agents > 50 || tt.bursty || tt.load != 0.7) {
			continue
		}
		t.Run(fmt.Sprintf("agents=%d/load=%v/bursty=%v", tt.agents, tt.load, tt.bursty), func(t *testing.T) {
			got := compare(Setting{Agents: tt.agents, Jobs: tt.jobs, Load: tt.load, Drift: true, Bursty: tt.bursty}, tt.seeds, "farforge", "oracle", "least loaded")
			f, o, l := got["farforge"].Steady, got["oracle"].Steady, got["least loaded"].Steady
			t.Logf("mean %.1f s, oracle %.1f, least loaded %.1f; p95 %.1f, oracle %.1f", f.Mean, o.Mean, l.Mean, f.P95, o.P95)
			if !(f.Mean <= o.Mean*tt.within && f.P95 <= o.P95*tt.within) {
				t.Errorf("mean and p95 are %.3f and %.3f of the oracle's; %.2f is the aim", f.Mean/o.Mean, f.P95/o.P95, tt.within)
			}
			if !(f.Mean <= l.Mean*0.75) {
				t.Errorf("the mean is %.3f of that of the least loaded; 0.75 is the aim", f.Mean/l.Mean)
			}
			if n := got["farforge"].GaveUp; n > 0 {
				t.Errorf("%d jobs were given up", n)
			}
		})
	}
}

// TestBrokenAgent breaks the best agent of each farm. It then fails each job within
// seconds, so that it is always free for more.
func TestBrokenAgent(t *testing.T) {
	for _, load := range loads {
		if short && load != 0.7 {
			continue
		}
		for seed := range uint64(3) {
			w := newWorld(Setting{Agents: 50, Jobs: 10000, Load: load, Break: 0.4, Seed: seed})
			r := play(w, newLearned(w))
			share := r.brokenShare()
			t.Logf("load %v, seed %d: %.2f %% of the jobs while broken; back %.0f s after recovery", load, seed, 100*share, r.backAfter)
			if !(share < 0.02) {
				t.Errorf("load %v, seed %d: a broken agent got %.2f %% of the jobs", load, seed, 100*share)
			}
			if r.backAfter > 600 {
				t.Errorf("load %v, seed %d: back after %.0f s", load, seed, r.backAfter)
			}
		}
	}
}

// TestSameSeedSameDay repeats a run, with the same result to the last bit.
func TestSameSeedSameDay(t *testing.T) {
	s := Setting{Agents: 20, Jobs: 1000, Load: 0.8, Drift: true, Bursty: true, Seed: 7}
	for _, c := range contenders {
		a, b := newWorld(s), newWorld(s)
		if x, y := play(a, c.make(a)), play(b, c.make(b)); !slices.EqualFunc(x.times, y.times, func(s, t float64) bool { return math.Float64bits(s) == math.Float64bits(t) }) {
			t.Errorf("%s: two runs differ", c.name)
		}
	}
}

// TestPlotsAreXML parses a plot.
func TestPlotsAreXML(t *testing.T) {
	table := map[string][]Summary{}
	for i, c := range contenders {
		for _, load := range loads {
			table[c.name] = append(table[c.name], Summary{Steady: Times{Mean: 10 + float64(i) + 100*load}})
		}
	}
	file := filepath.Join(t.TempDir(), "mean.svg")
	if err := draw(table, "mean", func(s Summary) float64 { return s.Steady.Mean }, file); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var plot struct {
		Lines []struct {
			Points string `xml:"points,attr"`
		} `xml:"polyline"`
	}
	if err := xml.Unmarshal(data, &plot); err != nil {
		t.Fatal(err)
	}
	if len(plot.Lines) != len(contenders) {
		t.Fatalf("%d lines, want %d", len(plot.Lines), len(contenders))
	}
	for _, l := range plot.Lines {
		if n := len(strings.Fields(l.Points)); n != len(loads) || strings.Contains(l.Points, "NaN") {
			t.Errorf("points %q", l.Points)
		}
	}
}
