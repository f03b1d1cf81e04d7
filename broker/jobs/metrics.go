package jobs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/farforge/farforge/broker/scheduler"
)

// metrics follow a job on its way to its agent. Labels take few values: no job,
// agent, user or address is ever one.
//
//	grant ──▶ choice ──▶ offer ──▶ line ──▶ claim ──▶ answer ──▶ result
//	          time,      first     wait,    reserved  time       quality of the
//	          terms      offered   end      or not               prediction
//
// These are counted when they happen; readings are looked up at a scrape.
type metrics struct {
	collectors []prometheus.Collector

	choice prometheus.Histogram
	// choices are by warmth, relay and resting.
	choices [3][2][2]prometheus.Counter
	// The terms of the candidate that was chosen first; see api.Score.
	expected, wait, duration, lost, success prometheus.Histogram
	// queued and whole begin with the job's first offer, answer with the claim, and
	// match with the offer that was answered.
	queued, whole, answer, match prometheus.Histogram
	// prediction is the time of builds divided by the expected time.
	prediction prometheus.Histogram
	vanished   prometheus.Counter

	reports, confirmations *prometheus.CounterVec
}

// Buckets in seconds: of builds, of waits, and of answers. The first bucket of
// builds is for no time at all.
var (
	buildBuckets  = []float64{0, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 3600}
	waitBuckets   = []float64{.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 25, 60, 120, 300, 600, 1800}
	answerBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 3, 5, 10, 20}
	matchBuckets  = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25}
	choiceBuckets = []float64{5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2}
	ratioBuckets  = []float64{.1, .25, .5, .7, .8, .9, 1, 1.1, 1.25, 1.5, 2, 4, 10}
	shareBuckets  = []float64{.1, .25, .5, .7, .8, .9, .95, .98, .99, 1}
)

func newMetrics(b *Board) *metrics {
	m := &metrics{}
	add := func(c prometheus.Collector) { m.collectors = append(m.collectors, c) }
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "farforge_broker_" + name, Help: help, Buckets: buckets})
		add(h)
		return h
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "farforge_broker_" + name, Help: help}, labels)
		add(c)
		return c
	}
	m.choice = histogram("choice_seconds", "Time to choose the candidates for a grant.", choiceBuckets)
	m.expected = histogram("chosen_expected_seconds", "Expected time to a result at first candidates that do not rest.", buildBuckets)
	m.wait = histogram("chosen_wait_seconds", "Expected wait at first candidates.", buildBuckets)
	m.duration = histogram("chosen_duration_seconds", "Expected duration of a successful build at first candidates.", buildBuckets)
	m.lost = histogram("chosen_lost_seconds", "Expected loss by failures of first candidates.", buildBuckets)
	m.success = histogram("chosen_success_ratio", "Expected share of successes of first candidates that do not rest.", shareBuckets)
	m.queued = histogram("queue_wait_seconds", "Time from a job's first offer to its first claim, over all its requests.", waitBuckets)
	m.whole = histogram("offer_to_answer_seconds", "Time from a job's first offer to its answer, over all its requests.", waitBuckets)
	m.answer = histogram("claim_to_answer_seconds", "Time from a claim to its answer.", answerBuckets)
	m.match = histogram("match_seconds", "Time from the arrival of an offer to its answer, for offers that were answered.", matchBuckets)
	m.prediction = histogram("build_prediction_ratio", "Duration of successful builds divided by the duration that was expected at the claim.", ratioBuckets)
	m.vanished = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "farforge_broker_polls_vanished_total", Help: "Parked polls whose connection broke.",
	})
	add(m.vanished)
	m.reports = counters("reports_total", "Jobs that agents reported, by outcome.", "outcome")
	m.confirmations = counters("confirmations_total", "Jobs that clients confirmed, by outcome.", "outcome")
	choices := counters("choices_total",
		"Grants by their first candidate: warm (it has a workspace of the project), relay (the client reaches it through a relay only), resting (it has failed repeatedly).",
		"warm", "relay", "resting")
	said := [2]string{"no", "yes"}
	for warm, name := range [...]string{scheduler.Unknown: "unknown", scheduler.Cold: "no", scheduler.Warm: "yes"} {
		for relay := range said {
			for resting := range said {
				m.choices[warm][relay][resting] = choices.WithLabelValues(name, said[relay], said[resting])
			}
		}
	}
	add(newReadings(b))
	return m
}

// Collectors are the board's metrics.
func (b *Board) Collectors() []prometheus.Collector { return b.metrics.collectors }

// chose counts a choice by its first candidate.
func (m *metrics) chose(first *scheduler.Ranked, warmth scheduler.Warmth) {
	m.choices[warmth][index(first.Relay)][index(first.Resting)].Inc()
	m.wait.Observe(first.Wait)
	m.duration.Observe(first.Duration)
	m.lost.Observe(first.Lost)
	if !first.Resting { // a resting agent's terms only put it behind all others
		m.expected.Observe(first.Expected)
		m.success.Observe(first.Success)
	}
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// learned counts how good the prediction of a successful build was.
func (m *metrics) learned(took, expected time.Duration) {
	if took > 0 && expected > 0 {
		m.prediction.Observe(took.Seconds() / expected.Seconds())
	}
}
