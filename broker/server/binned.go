package server

import (
	"math"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// bin is what counts are rounded up to a multiple of, as Tor's and Snowflake's
// statistics are: a count that moves with every single request would tell when
// a user of a small broker was there.
const bin = 8

// byteBin is the same for bytes, of which a single job moves many.
const byteBin = bin << 20

// exempt are metrics that say nothing of users: the operator lists the agents.
var exempt = []string{"farforge_broker_agents_alive", "farforge_broker_agents_listed"}

// telling are metrics of the process that move with every connection.
var telling = []string{"process_network_receive_bytes_total", "process_network_transmit_bytes_total", "process_open_fds"}

// binned rounds the counts of another gatherer.
type binned struct{ next prometheus.Gatherer }

// Gather is for prometheus.Gatherer.
func (b binned) Gather() ([]*dto.MetricFamily, error) {
	families, err := b.next.Gather()
	families = slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return slices.Contains(telling, f.GetName()) })
	for _, f := range families {
		name := f.GetName()
		if slices.Contains(exempt, name) || !strings.HasPrefix(name, "farforge_") && name != "go_goroutines" {
			continue
		}
		unit := float64(bin)
		if strings.HasSuffix(name, "_bytes_total") {
			unit = byteBin
		}
		for _, m := range f.GetMetric() {
			roundUp(m, unit)
		}
	}
	return families, err
}

func roundUp(m *dto.Metric, unit float64) {
	switch {
	case m.Counter != nil:
		m.Counter.Value, m.Counter.Exemplar = new(up(m.Counter.GetValue(), unit)), nil
	case m.Gauge != nil:
		m.Gauge.Value = new(up(m.Gauge.GetValue(), unit))
	case m.Histogram != nil:
		roundHistogram(m.Histogram)
	}
}

// roundHistogram replaces the sum by what the rounded buckets make likely: the
// true one would give every observation away.
func roundHistogram(h *dto.Histogram) {
	h.SampleCount = new(uint64(up(float64(h.GetSampleCount()), bin)))
	var sum, low float64
	var below uint64
	for _, b := range h.GetBucket() {
		b.CumulativeCount, b.Exemplar = new(uint64(up(float64(b.GetCumulativeCount()), bin))), nil
		high := b.GetUpperBound()
		if math.IsInf(high, 1) {
			break
		}
		sum += float64(b.GetCumulativeCount()-below) * (low + high) / 2
		below, low = b.GetCumulativeCount(), high
	}
	h.SampleSum = new(sum + float64(h.GetSampleCount()-below)*low)
}

// up rounds up to a multiple of unit.
func up(n, unit float64) float64 { return math.Ceil(n/unit) * unit }
