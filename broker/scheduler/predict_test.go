package scheduler

import (
	"fmt"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/capacity"
)

func TestStart(t *testing.T) {
	// The agent one runs one job of two cores at a time, the agent two runs two.
	cores := func(n int) func(*directory.Agent) {
		return func(a *directory.Agent) { a.Status.TotalCores, a.Status.FreeCores = n, n }
	}
	f := farmOf(with(buildsIDF("one"), cores(2)), with(buildsIDF("two"), cores(4)), with(buildsIDF("free"), cores(4)),
		with(buildsIDF("late"), cores(2)), with(buildsIDF("due"), cores(2)), with(with(buildsIDF("other"), cores(2)), free(0)), with(buildsIDF("away"), func(a *directory.Agent) { a.Parked = false }))
	f.built("stranger", 60, 1) // its results are known, but it is not listed
	run := func(agent, job string, since, done time.Duration) {
		t.Helper()
		if !f.dir.Reserve("SHA256:"+agent, directory.Reservation{Job: job, Need: capacity.Capacity{Cores: 2, MemoryMB: 1},
			Since: now.Add(since), Until: now.Add(time.Hour), Done: now.Add(done)}) {
			t.Fatalf("no room for %s on %s", job, agent)
		}
	}
	run("one", "a", -20*time.Second, 80*time.Second)
	run("two", "b", 0, 60*time.Second)
	run("two", "c", -10*time.Second, 30*time.Second)
	run("late", "d", -65*time.Second, -15*time.Second)
	run("due", "e", -50*time.Second, 0)
	for _, tt := range []struct {
		name       string
		candidates []string
		ahead      int
		want       time.Duration
	}{
		{"no candidates", nil, 3, 0},
		{"unknown candidates", []string{"nobody", "stranger"}, 3, 0},
		{"room", []string{"one", "free"}, 0, 0},
		{"busy, next", []string{"one"}, 0, 80 * time.Second},
		{"busy, two ahead", []string{"one"}, 2, 280 * time.Second},
		{"two lanes, the sooner end", []string{"two"}, 0, 30 * time.Second},
		{"two lanes, three ahead", []string{"two"}, 3, 30*time.Second + 3*25*time.Second},
		{"overdue: as late again", []string{"late"}, 0, 15 * time.Second},
		{"overdue, one ahead", []string{"late"}, 1, 65 * time.Second},
		{"about to end: a tenth of its time", []string{"due"}, 0, 5 * time.Second},
		{"the least of all", []string{"nobody", "one", "two", "late"}, 0, 15 * time.Second},
		{"a negative line is none", []string{"two"}, -1, 30 * time.Second},
		{"busy with something else", []string{"other"}, 0, f.Start([]string{"SHA256:other"}, idf, 1, now) / 2},
		{"not parked, and nobody ahead", []string{"away"}, 0, 0},
	} {
		var ids []string
		for _, c := range tt.candidates {
			ids = append(ids, "SHA256:"+c)
		}
		if got := f.Start(ids, idf, tt.ahead, now); got.Round(time.Millisecond) != tt.want.Round(time.Millisecond) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	// An agent with room and jobs ahead: a share of a job of average length.
	if got := f.Start([]string{"SHA256:free"}, idf, 1, now); got < 10*time.Second || got > time.Minute {
		t.Errorf("behind one where two fit: %v", got)
	}
	if got := f.Start([]string{"SHA256:other"}, idf, 0, now); got < 10*time.Second || got > 2*time.Minute {
		t.Errorf("busy with something else: %v", got)
	}
	if got := newTestFarm().Start([]string{"SHA256:one"}, idf, 1, now); got != 0 {
		t.Errorf("an empty farm: %v", got)
	}
}

// TestLanesAreBoundByMemoryToo: an agent of eight cores runs one job at a time if each
// needs all of its memory.
func TestLanesAreBoundByMemoryToo(t *testing.T) {
	for _, tt := range []struct {
		need  capacity.Capacity
		lanes float64
	}{{capacity.Capacity{Cores: 1, MemoryMB: 8000}, 1}, {capacity.Capacity{Cores: 1, MemoryMB: 4096}, 2}, {capacity.Capacity{Cores: 4, MemoryMB: 100}, 2}, {capacity.Capacity{Cores: 1}, 8}} {
		f := farmOf(buildsIDF("a"))
		n := idf
		n.Capacity = tt.need
		for i := range int(tt.lanes) {
			if !f.dir.Reserve("SHA256:a", directory.Reservation{Job: fmt.Sprint(i), Need: tt.need, Since: now, Until: now.Add(time.Hour), Done: now.Add(20 * time.Minute)}) {
				t.Fatal("no room")
			}
		}
		want := 20*time.Minute + time.Duration(8*20/tt.lanes*float64(time.Minute))
		if got := f.Start([]string{"SHA256:a"}, n, 8, now); got.Round(time.Second) != want {
			t.Errorf("%+v behind 8 jobs of 20 minutes starts in %v, want %v", tt.need, got, want)
		}
	}
}
