package server

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/farforge/farforge/common/api"
)

// readings are the broker's metrics by name and labels.
func (b *broker) readings() map[string]float64 {
	b.t.Helper()
	page := as200(b.t, b.send(b.t.Context(), "GET", api.PathMetrics, "", nil))
	all := map[string]float64{}
	for line := range strings.Lines(page) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || !strings.HasPrefix(name, "farforge_broker_") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			b.t.Fatalf("%s: %v", line, err)
		}
		all[strings.TrimPrefix(name, "farforge_broker_")] = n
	}
	return all
}

func as200(t testing.TB, r reply) string {
	t.Helper()
	if r.status != 200 {
		t.Fatalf("status %d, %v", r.status, r.err)
	}
	return string(r.body)
}

func (b *broker) wantReadings(when string, want map[string]float64) {
	b.t.Helper()
	got := b.readings()
	for name, n := range want {
		if v, ok := got[name]; !ok || v != n {
			b.t.Errorf("%s: %s is %v (%v), want %v", when, name, v, ok, n)
		}
	}
}

// TestEveryStageOfMatchingIsCounted follows one job over two requests, with agents
// that vanish, are late and refuse it.
func TestEveryStageOfMatchingIsCounted(t *testing.T) {
	w := newWorld(t)
	a, c := w.listAgent("bench-1"), w.listAgent("bench-2")
	w.adjust = func(cfg *Config) { cfg.AnswerTimeout = 600 * time.Millisecond }
	b := w.start()
	b.login(a)
	b.login(c)
	b.wantReadings("at first", map[string]float64{
		"choice_seconds_count": 0, "queue_jobs": 0, "queue_oldest_wait_seconds": 0, `queue_ended_total{end="claimed"}`: 0,
		`queue_ended_total{end="given_up"}`: 0, `queue_ended_total{end="hung_up"}`: 0, "reserved_memory_bytes": 0, "agents_alive": 0,
	})

	ctx, hangUp := context.WithCancel(t.Context())
	b.park(ctx, a)
	g := b.grant()
	hangUp()
	b.vanished(a)
	wantProblem(t, b.post(api.PathGrantRequest, "", grantRequest()), 503, api.CodeNoAgent)
	b.wantReadings("after two choices, one without a candidate", map[string]float64{
		"choice_seconds_count": 2, `choices_total{relay="no",resting="no",warm="unknown"}`: 1, "polls_vanished_total": 1,
		"chosen_expected_seconds_count": 1, `chosen_wait_seconds_bucket{le="0"}`: 1, "chosen_duration_seconds_count": 1,
		"chosen_lost_seconds_count": 1, "chosen_success_ratio_count": 1, `chosen_success_ratio_bucket{le="0.5"}`: 0, "agents_alive": 0,
	})

	first := b.offer(t.Context(), g, "?wait=1")
	b.until("the job is in line", func() bool { return b.srv.board.Stats().Queued == 1 })
	if got := b.readings(); got["queue_jobs"] != 1 || got["queue_places"] != 1 || got["queue_oldest_wait_seconds"] <= 0 || got["queue_oldest_wait_seconds"] > 5 {
		t.Errorf("in line: %v, %v, %v", got["queue_jobs"], got["queue_places"], got["queue_oldest_wait_seconds"])
	}
	g.Grant = as[api.Waiting](t, <-first, 202).Grant
	offer := b.offer(t.Context(), g, "")
	b.until("the job waits again", func() bool { return b.srv.board.Stats().Waiting == 1 })

	as[api.Job](t, b.post(api.PathAgentPoll, a.session, idleStatus()), 200)
	b.wantReadings("claimed", map[string]float64{
		"queue_jobs": 0, "queue_oldest_wait_seconds": 0, `queue_ended_total{end="claimed"}`: 1, "claims_total": 1,
		"queue_wait_seconds_count": 1, `queue_wait_seconds_bucket{le="0.5"}`: 0, `queue_wait_seconds_bucket{le="10"}`: 1,
		"reservations": 1, "reserved_cores": 1, "reserved_memory_bytes": 256 << 20,
	})
	b.report(a, g.JobID, api.OutcomeRefused)
	b.wantReadings("refused", map[string]float64{"claims_refused_total": 1, "reservations": 0, "queue_jobs": 1})
	as[api.Job](t, b.post(api.PathAgentPoll, a.session, idleStatus()), 200)
	as[struct{}](t, b.answer(a, g.JobID), 204)
	as[struct{}](t, b.answer(a, g.JobID), 204) // a retry
	wantAnswer(t, offer, a)
	b.wantReadings("answered", map[string]float64{
		`queue_ended_total{end="claimed"}`: 1, "queue_wait_seconds_count": 1, "claims_total": 2, "claims_revoked_total": 0,
		"claim_to_answer_seconds_count": 1, "offer_to_answer_seconds_count": 1, `offer_to_answer_seconds_bucket{le="0.5"}`: 0,
		"match_seconds_count": 1, "build_prediction_ratio_count": 0,
	})
	b.clock.pass(90 * time.Second) // the farm knows nothing yet, and takes a minute for it
	b.login(a)
	as[struct{}](t, b.post(pathOf(api.PathConfirmation, g.JobID), g.Grant, &api.Confirmation{Agent: a.key.Fingerprint(), Outcome: api.OutcomeSucceeded}), 204)
	b.report(a, g.JobID, api.OutcomeSucceeded)
	b.wantReadings("built", map[string]float64{
		"build_prediction_ratio_count": 1, `build_prediction_ratio_bucket{le="1.25"}`: 0, `build_prediction_ratio_bucket{le="2"}`: 1,
		"reservations": 0, "reservations_healed_total": 0, "reservations_expired_total": 0, "reservations_refused_total": 0,
	})

	// One agent is late, and a reservation without a report expires.
	b.login(c)
	late := b.park(t.Context(), c)
	req := grantRequest()
	req.Agents = []string{"bench-2"}
	g = as[api.GrantResponse](t, b.post(api.PathGrantRequest, "", req), 200)
	offer = b.offer(t.Context(), g, "")
	as[api.Job](t, <-late, 200)
	wantProblem(t, <-offer, 504, api.CodeNoAnswer)
	b.wantReadings("late", map[string]float64{"claims_revoked_total": 1, "reservations": 0})
	next := b.park(t.Context(), c)
	g = as[api.GrantResponse](t, b.post(api.PathGrantRequest, "", req), 200)
	offer = b.offer(t.Context(), g, "")
	as[api.Job](t, <-next, 200)
	as[struct{}](t, b.answer(c, g.JobID), 204)
	wantAnswer(t, offer, c)
	b.clock.pass(10 * time.Minute)
	b.wantReadings("expired", map[string]float64{"reservations": 0, "reservations_expired_total": 1, "reserved_memory_bytes": 0})
}

// TestMetricsPassPrometheusLint: names and help texts are in order, and labels take
// few values.
func TestMetricsPassPrometheusLint(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("bench-1")
	b := w.start()
	b.login(a)
	b.park(t.Context(), a)
	b.grant()
	families, err := b.srv.metrics.all.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	labels := []string{"route", "result", "outcome", "kind", "end", "warm", "relay", "resting", "version"}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(labels, l.GetName()) && strings.HasPrefix(f.GetName(), "farforge_") {
					t.Errorf("%s has a label %s: is the number of its values bounded?", f.GetName(), l.GetName())
				}
			}
		}
	}
}

// TestMetricsAreInTheManual: doc/operating.md has a row for each, and
// no other.
func TestMetricsAreInTheManual(t *testing.T) {
	b := newWorld(t).start()
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		b.srv.metrics.registry.Describe(descs)
	}()
	name := regexp.MustCompile(`fqName: "(farforge_\w+)"`)
	served := map[string]bool{}
	for d := range descs {
		if m := name.FindStringSubmatch(d.String()); m != nil {
			served[m[1]] = true
		}
	}
	page, err := os.ReadFile("../../doc/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(farforge_broker_\\w+)`[^|\n]*\\|[^|\n]+\\|[^|\n]*\\|$").FindAllStringSubmatch(string(page), -1) {
		if documented[m[1]] {
			t.Errorf("%s has two rows", m[1])
		}
		if documented[m[1]] = true; !served[m[1]] {
			t.Errorf("doc/operating.md documents %s, which does not exist", m[1])
		}
	}
	for s := range served {
		if !documented[s] {
			t.Errorf("doc/operating.md does not document %s", s)
		}
	}
}
