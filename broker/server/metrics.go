package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are those of one server; there is no global registry. Labels take few
// values: no job, agent or address is ever one. broker/jobs has the metrics of
// jobs.
type metrics struct {
	registry *prometheus.Registry
	all      prometheus.Gatherer
	requests *prometheus.CounterVec
	refusals *prometheus.CounterVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "farforge_broker_requests_total",
			Help: "Requests by route and result: an error code, or how else the request ended.",
		}, []string{"route", "result"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "farforge_broker_refusals_total",
			Help: "Requests that were refused because of their sender or their rate, by kind.",
		}, []string{"kind"}),
	}
	m.registry.MustRegister(m.requests, m.refusals,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(s.board.Collectors()...)
	m.all = append(prometheus.Gatherers{m.registry}, s.cfg.MoreMetrics...)
	if !s.cfg.ExactMetrics {
		m.all = newBinned(m.all)
	}
	return m
}

// refused counts a refusal by its kind; the code defines a few kinds.
func (m *metrics) refused(kind string) { m.refusals.WithLabelValues(kind).Inc() }

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.all, promhttp.HandlerOpts{})
}
