package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are one server's own; there is no global registry. Labels take few
// values: no job, agent or address is ever one.
type metrics struct {
	registry *prometheus.Registry
	all      prometheus.Gatherer
	requests *prometheus.CounterVec
	outcomes *prometheus.CounterVec
	confirms *prometheus.CounterVec
	refusals *prometheus.CounterVec
	match    prometheus.Histogram
	stages   *stages
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "farforge_broker_requests_total",
			Help: "Requests by route and result; the result is an error code, or what else became of it.",
		}, []string{"route", "result"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "farforge_broker_reports_total",
			Help: "Jobs that agents reported, by outcome.",
		}, []string{"outcome"}),
		confirms: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "farforge_broker_confirmations_total",
			Help: "Jobs whose clients told how they ended, by outcome.",
		}, []string{"outcome"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "farforge_broker_refusals_total",
			Help: "Requests for grants and sessions that were refused for who asks or how often, by kind.",
		}, []string{"kind"}),
		match: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "farforge_broker_match_seconds",
			Help:    "From an offer's arrival to its answer, of offers that were answered.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25},
		}),
	}
	m.registry.MustRegister(m.requests, m.outcomes, m.confirms, m.refusals, m.match,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(newMoments(s))
	m.stages = newStages(m.registry)
	m.all = append(prometheus.Gatherers{m.registry}, s.cfg.MoreMetrics...)
	if s.cfg.BinMetrics {
		m.all = newBinned(m.all)
	}
	return m
}

// refused counts a refusal by its kind; there are only as many as the code has.
func (m *metrics) refused(kind string) { m.refusals.WithLabelValues(kind).Inc() }

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.all, promhttp.HandlerOpts{})
}
