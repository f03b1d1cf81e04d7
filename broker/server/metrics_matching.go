package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/broker/scheduler"
)

// stages are what the way of a job to its agent is watched by.
//
//	grant ──▶ choice ──▶ offer ──▶ line ──▶ claim ──▶ answer ──▶ result
//	          time,      first     wait,    reserved  time       how good the
//	          terms      offered   end      or not               prediction was
//
// What is counted where it happens is here; what is looked up when somebody asks
// is in moments.
type stages struct {
	choice prometheus.Histogram
	// choices are by warmth, relay and resting.
	choices [3][2][2]prometheus.Counter
	// The terms of the candidate that was chosen first; see api.Score.
	expected, wait, duration, lost, success prometheus.Histogram
	// queued is how long jobs wait for their first claim, whole how long for the
	// answer, both from the first of their requests on; answer is from claim to
	// answer.
	queued, whole, answer prometheus.Histogram
	// prediction is what builds took by what they were expected to take.
	prediction prometheus.Histogram
	vanished   prometheus.Counter
}

// Buckets in seconds: of builds, of waits, and of what agents do at once. The
// first bucket of builds is for no time at all.
var (
	buildBuckets  = []float64{0, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 3600}
	waitBuckets   = []float64{.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 25, 60, 120, 300, 600, 1800}
	answerBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 3, 5, 10, 20}
)

func newStages(r prometheus.Registerer) *stages {
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "farforge_broker_" + name, Help: help, Buckets: buckets})
		r.MustRegister(h)
		return h
	}
	st := &stages{
		choice: histogram("choice_seconds", "What it took to choose the candidates for a grant.",
			[]float64{5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2}),
		expected:   histogram("chosen_expected_seconds", "Expected time to a result of the first candidates that do not rest.", buildBuckets),
		wait:       histogram("chosen_wait_seconds", "Expected wait of the first candidates.", buildBuckets),
		duration:   histogram("chosen_duration_seconds", "Expected build time of the first candidates, with luck.", buildBuckets),
		lost:       histogram("chosen_lost_seconds", "What a failure of the first candidates is expected to cost.", buildBuckets),
		success:    histogram("chosen_success_ratio", "Expected share of successes of the first candidates that do not rest.", []float64{.1, .25, .5, .7, .8, .9, .95, .98, .99, 1}),
		queued:     histogram("queue_wait_seconds", "From a job's first offer to its first claim, over all its requests.", waitBuckets),
		whole:      histogram("offer_to_answer_seconds", "From a job's first offer to its answer, over all its requests.", waitBuckets),
		answer:     histogram("claim_to_answer_seconds", "From a claim to its answer.", answerBuckets),
		prediction: histogram("build_prediction_ratio", "What successful builds took, as a share of what was expected at the claim.", []float64{.1, .25, .5, .7, .8, .9, 1, 1.1, 1.25, 1.5, 2, 4, 10}),
		vanished: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "farforge_broker_polls_vanished_total", Help: "Parked polls whose connection went away.",
		}),
	}
	choices := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "farforge_broker_choices_total",
		Help: "Grants by what the first candidate is like: warm (it has a workspace of the project, if a project is named), relay (it cannot be met directly), resting (it has failed again and again).",
	}, []string{"warm", "relay", "resting"})
	r.MustRegister(choices, st.vanished)
	said := [2]string{"no", "yes"}
	for warm, name := range [...]string{scheduler.Unsaid: "unknown", scheduler.Cold: "no", scheduler.Warm: "yes"} {
		for relay := range said {
			for resting := range said {
				st.choices[warm][relay][resting] = choices.WithLabelValues(name, said[relay], said[resting])
			}
		}
	}
	return st
}

// chose counts whom a job is to go to first.
func (st *stages) chose(first *scheduler.Ranked, warmth scheduler.Warmth) {
	st.choices[warmth][index(first.Relay)][index(first.Resting)].Inc()
	st.wait.Observe(first.Wait)
	st.duration.Observe(first.Duration)
	st.lost.Observe(first.Lost)
	if !first.Resting { // else they are no beliefs, but what puts it behind all others
		st.expected.Observe(first.Expected)
		st.success.Observe(first.Success)
	}
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// claimed counts the wait of a job that is claimed for the first time.
func (st *stages) claimed(c *rendezvous.Claim) {
	if c.First {
		st.queued.Observe(time.Since(c.Offered).Seconds())
	}
}

// learned counts how good the prediction of a successful build was.
func (st *stages) learned(took, expected time.Duration) {
	if took > 0 && expected > 0 {
		st.prediction.Observe(took.Seconds() / expected.Seconds())
	}
}
