package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/farforge/farforge/broker/rendezvous"
	"github.com/farforge/farforge/broker/scheduler"
)

// metrics are one server's own; there is no global registry. Labels take few
// values: no job, agent or address is ever one.
type metrics struct {
	binned   bool
	registry *prometheus.Registry
	more     prometheus.Gatherers
	requests *prometheus.CounterVec
	outcomes *prometheus.CounterVec
	confirms *prometheus.CounterVec
	refusals *prometheus.CounterVec
	match    prometheus.Histogram
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(), more: s.cfg.MoreMetrics, binned: s.cfg.BinMetrics,
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
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	stat := func(f func(rendezvous.Stats) int64) func() float64 {
		return func() float64 { return float64(f(s.meet.Stats())) }
	}
	gauge("farforge_broker_parked_polls", "Polls that wait for a job.", stat(func(t rendezvous.Stats) int64 { return t.Parked }))
	gauge("farforge_broker_waiting_offers", "Offers that wait for an answer.", stat(func(t rendezvous.Stats) int64 { return t.Offering }))
	gauge("farforge_broker_jobs", "Jobs in memory.", stat(func(t rendezvous.Stats) int64 { return t.Jobs }))
	gauge("farforge_broker_queue_places", "Places of waiting jobs in the lines of agents; a job has one for each candidate.", stat(func(t rendezvous.Stats) int64 { return t.Queued }))
	farm := func(f func(scheduler.Stats) int) func() float64 {
		return func() float64 { return float64(f(s.match.farm.Stats(s.now()))) }
	}
	gauge("farforge_broker_reservations", "Jobs that agents have reserved room for.", farm(func(t scheduler.Stats) int { return t.Reservations }))
	gauge("farforge_broker_reserved_cores", "Cores that are reserved for jobs.", farm(func(t scheduler.Stats) int { return t.Cores }))
	gauge("farforge_broker_agents_resting", "Agents that are left alone for now, as they failed again and again.", farm(func(t scheduler.Stats) int { return t.Resting }))
	gauge("farforge_broker_agents_alive", "Agents that are parked or were seen a moment ago.", func() float64 {
		n, snapshot, now := 0, s.cfg.Directory.Snapshot(), s.now()
		for i := range snapshot.Len() {
			if a := snapshot.At(i); a.Alive(now, s.cfg.AgentGrace) {
				n++
			}
		}
		return float64(n)
	})
	gauge("farforge_broker_agents_listed", "Agents that may serve.", func() float64 { return float64(s.cfg.Directory.Snapshot().Len()) })
	count := func(name, help string, f func(rendezvous.Stats) int64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, stat(f)))
	}
	count("farforge_broker_claims_total", "Jobs that went to an agent.", func(t rendezvous.Stats) int64 { return t.Claims })
	count("farforge_broker_claims_revoked_total", "Claims that were not answered in time.", func(t rendezvous.Stats) int64 { return t.Revoked })
	count("farforge_broker_claims_handed_back_total", "Claims whose poll was gone.", func(t rendezvous.Stats) int64 { return t.HandedBack })
	count("farforge_broker_polls_superseded_total", "Polls that a newer one of the same agent ended.", func(t rendezvous.Stats) int64 { return t.Superseded })
	return m
}

// refused counts a refusal by its kind; there are only as many as the code has.
func (m *metrics) refused(kind string) { m.refusals.WithLabelValues(kind).Inc() }

func (m *metrics) handler() http.Handler {
	var all prometheus.Gatherer = append(prometheus.Gatherers{m.registry}, m.more...)
	if m.binned {
		all = binned{all}
	}
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{})
}
