package examples_test

import "testing"

// TestConfirmationsReachTheBroker checks that the broker counts each job's outcome
// as its client confirmed it, and that a compile error does not count against the
// agent.
func TestConfirmationsReachTheBroker(t *testing.T) {
	f := newFarm(t, "bench-1")
	f.client(t.Context(), "build", f.project("hello", nil)).want(t, 0)
	broken := f.project("broken", map[string]func(string) string{"main.c": func(text string) string { return text + "\nnot C;\n" }})
	f.client(t.Context(), "build", broken).want(t, 1)
	f.client(t.Context(), "build", f.path("hello"), "--reproduce", f.path("hello"), "--same-agent").want(t, 0)

	// The client confirms before it exits; the agent's report may arrive later.
	for outcome, want := range map[string]float64{"succeeded": 2, "build_failed": 1} {
		if got := f.metric(`farforge_broker_confirmations_total{outcome="` + outcome + `"}`); got != want {
			t.Errorf("clients confirmed %v jobs as %s, want %v", got, outcome, want)
		}
	}
	if resting := f.metric("farforge_broker_agents_resting"); resting != 0 {
		t.Errorf("%v agents are resting, want 0", resting)
	}
}
