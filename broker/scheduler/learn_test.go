package scheduler

import (
	"fmt"
	"testing"
	"time"
)

// TestGoodBuildsBringAnAgentBack, however often it has failed before.
func TestGoodBuildsBringAnAgentBack(t *testing.T) {
	for _, failures := range []int{4, 17, 1000} {
		f := farmOf(buildsIDF("good"), buildsIDF("best"))
		for range 30 {
			f.built("good", 60, 1)
			f.built("best", 20, 1)
		}
		f.failed("best", failures, now)
		later := now.Add(time.Second)
		if got := f.firsts(idf, later); got["best"] != 0 {
			t.Errorf("%d failures, and it is chosen: %v", failures, got)
		}
		f.built("best", 20, 3)
		if m := f.member("SHA256:best"); m.skill.Load().rel.broken >= suspect {
			t.Errorf("%d failures and 3 good builds: it is broken with probability %v", failures, m.skill.Load().rel.broken)
		}
		f.built("best", 20, 7)
		if got := f.firsts(idf, later); got["best"] < 150 {
			t.Errorf("%d failures and 10 good builds: %v", failures, got)
		}
	}
}

// TestSizesOutlastAPause: estimates of build times stay while nothing is built.
func TestSizesOutlastAPause(t *testing.T) {
	const minutes = 20
	for _, pause := range []time.Duration{0, 24 * time.Hour, 30 * 24 * time.Hour, 365 * 24 * time.Hour} {
		f := farmOf(buildsIDF("a"), buildsIDF("b"))
		for range 50 {
			f.built("a", minutes*60, 1)
		}
		for range 200 { // most of what this farm builds is small
			f.Learn(Result{Agent: "SHA256:a", Target: "esp32", Toolchain: "arduino", Verdict: Built, Took: 30 * time.Second, At: now})
		}
		other := idf
		other.Project = "never seen"
		later := now.Add(pause)
		for name, n := range map[string]Need{"its own project": idf, "another project of the kind": other} {
			if got := f.Expect("SHA256:b", n, later).Minutes(); got < 0.7*minutes || got > 1.4*minutes {
				t.Errorf("after %v, %s is expected to take %.1f minutes instead of %d", pause, name, got, minutes)
			}
		}
		if got := f.Start([]string{"SHA256:b"}, idf, 1, later).Minutes(); got < 0.1*minutes || got > 1.4*minutes {
			t.Errorf("after %v, the wait behind one job is %.1f minutes", pause, got)
		}
	}
}

// TestAPauseLeavesDoubt: the first results after a pause count for more.
func TestAPauseLeavesDoubt(t *testing.T) {
	expect := func(pause time.Duration) float64 {
		f := farmOf(buildsIDF("a"))
		f.built("a", 1200, 50)
		for i := range 3 {
			f.Learn(Result{Agent: "SHA256:a", Target: idf.Target, Toolchain: idf.Toolchain.Name, Project: f.ProjectKey(fmt.Sprint("new", i)),
				Verdict: Built, Took: time.Minute, At: now.Add(pause)})
		}
		n := idf
		n.Project = "another"
		return f.Expect("SHA256:a", n, now.Add(pause)).Seconds()
	}
	if soon, late := expect(0), expect(60*24*time.Hour); late > 0.8*soon {
		t.Errorf("three builds of a minute bring 20 minutes down to %.0f s at once and to %.0f s after two months", soon, late)
	}
}

func TestKindsAreForgottenOneByOne(t *testing.T) {
	f := farmOf(buildsIDF("a"))
	for i := range 2 * maxKinds {
		f.Learn(Result{Agent: "SHA256:a", Target: fmt.Sprint("t", i), Verdict: Built, Took: time.Minute, At: now.Add(time.Duration(i) * time.Second)})
	}
	b := f.beliefs.Load()
	if len(b.kinds) != maxKinds || b.kind(kindKey("t0", "")) != nil || b.kind(kindKey(fmt.Sprint("t", maxKinds), "")) == nil {
		t.Errorf("%d kinds are known of %d", len(b.kinds), maxKinds)
	}
}
