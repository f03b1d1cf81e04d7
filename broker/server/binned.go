package server

import (
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// bin is what counts are rounded up to a multiple of, as Tor's and Snowflake's
// statistics are: a count that moves with every single request would tell when
// a user of a small broker was there.
const bin = 8

// byteBin and memoryBin are the same for bytes that are moved and for memory, of
// which a single job takes many.
const (
	byteBin   = bin << 20
	memoryBin = bin << 30
)

// exempt are metrics that say nothing of users: the operator lists the agents.
var exempt = []string{"farforge_broker_agents_alive", "farforge_broker_agents_listed"}

// telling are metrics that move with every connection, or are about one job.
var telling = []string{
	"process_network_receive_bytes_total", "process_network_transmit_bytes_total", "process_open_fds",
	"farforge_broker_queue_oldest_wait_seconds",
}

// binned rounds the counts of another gatherer.
type binned struct {
	next prometheus.Gatherer

	mu sync.Mutex
	// shown are the histograms as they were last shown, by name and labels. All
	// buckets of one change together, with its rounded count: if each were rounded
	// by itself, nearly every observation would move one of so many.
	shown map[string]*dto.Histogram
}

func newBinned(next prometheus.Gatherer) *binned {
	return &binned{next: next, shown: map[string]*dto.Histogram{}}
}

// Gather is for prometheus.Gatherer.
func (b *binned) Gather() ([]*dto.MetricFamily, error) {
	families, err := b.next.Gather()
	families = slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return slices.Contains(telling, f.GetName()) })
	for _, f := range families {
		name := f.GetName()
		if slices.Contains(exempt, name) || !strings.HasPrefix(name, "farforge_") && name != "go_goroutines" {
			continue
		}
		unit := float64(bin)
		switch {
		case strings.HasSuffix(name, "_bytes_total"):
			unit = byteBin
		case strings.HasSuffix(name, "_bytes"):
			unit = memoryBin
		}
		for _, m := range f.GetMetric() {
			if m.Histogram != nil {
				m.Histogram = b.show(name, m)
			} else {
				roundUp(m, unit)
			}
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
	}
}

// show returns the histogram that was shown last, or a new one once its rounded
// count has changed.
func (b *binned) show(name string, m *dto.Metric) *dto.Histogram {
	for _, l := range m.GetLabel() {
		name += "\n" + l.GetName() + "\n" + l.GetValue()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	last := b.shown[name]
	if last == nil || float64(last.GetSampleCount()) != up(float64(m.Histogram.GetSampleCount()), bin) {
		roundHistogram(m.Histogram)
		last = m.Histogram
		b.shown[name] = last
	}
	return last
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
