package examples_test

import "testing"

// TestTheBrokerHearsHowJobsEnd: of each in the client's words, too. A compile error
// is not held against the agent.
func TestTheBrokerHearsHowJobsEnd(t *testing.T) {
	f := newFarm(t, "bench-1")
	f.client(t.Context(), "build", f.project("hello", nil)).want(t, 0)
	broken := f.project("broken", map[string]func(string) string{"main.c": func(text string) string { return text + "\nnot C;\n" }})
	f.client(t.Context(), "build", broken).want(t, 1)
	f.client(t.Context(), "build", f.path("hello"), "--reproduce", f.path("hello"), "--same-agent").want(t, 0)

	// A client that has ended has told; the agent may still be about to.
	for outcome, want := range map[string]float64{"succeeded": 2, "build_failed": 1} {
		if got := f.metric(`farforge_broker_confirmations_total{outcome="` + outcome + `"}`); got != want {
			t.Errorf("%v jobs ended as %s by the clients' word, want %v", got, outcome, want)
		}
	}
	if resting := f.metric("farforge_broker_agents_resting"); resting != 0 {
		t.Errorf("%v agents rest", resting)
	}
}
