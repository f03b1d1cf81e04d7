package relay

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

type metrics struct {
	allocations, bytes, dropped prometheus.Counter
	open                        prometheus.Gauge
	refusals                    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "farforge_relay_" + name, Help: help})
	}
	m := &metrics{
		allocations: counter("allocations_total", "Allocations made."),
		bytes:       counter("bytes_total", "Bytes of payload relayed."),
		dropped:     counter("dropped_bytes_total", "Bytes of payload dropped because they exceeded the rate."),
		open:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "farforge_relay_allocations", Help: "Open allocations."}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "farforge_relay_refusals_total",
			Help: "Refusals by reason: credentials, quota, ports (none is free) or peer (an address that the relay does not send to).",
		}, []string{"reason"}),
	}
	if r != nil {
		r.MustRegister(m.allocations, m.bytes, m.dropped, m.open, m.refusals)
	}
	return m
}

// pass reports whether n more bytes are within both limits, and counts them.
func (s *Server) pass(job, total *rate.Limiter, n int) bool {
	now := time.Now()
	if job.AllowN(now, n) && total.AllowN(now, n) {
		s.metrics.bytes.Add(float64(n))
		return true
	}
	s.metrics.dropped.Add(float64(n))
	return false
}
