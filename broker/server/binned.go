package server

import (
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// bin is the unit to which counts are rounded up, as in the statistics of Tor and
// Snowflake. An exact count, which changes with every request, would reveal when
// the user of a small broker was active.
const bin = 8

// byteBin and memoryBin are the same for transferred bytes and for memory, of which
// a single job takes many.
const (
	byteBin   = bin << 20
	memoryBin = bin << 30
)

// exempt metrics reveal nothing about users: the operator lists the agents.
var exempt = []string{"farforge_broker_agents_alive", "farforge_broker_agents_listed"}

// revealing metrics change with every connection, or are about one job.
var revealing = []string{
	"process_network_receive_bytes_total", "process_network_transmit_bytes_total", "process_open_fds",
	"farforge_broker_queue_oldest_wait_seconds",
}

// binned rounds the counts of another gatherer.
type binned struct {
	next prometheus.Gatherer

	mu sync.Mutex
	// shown are the histograms of the last scrape, by name and labels. All buckets
	// of one change together, with its rounded count: nearly every observation
	// would change one of so many that were rounded one by one.
	shown map[string]*dto.Histogram
}

func newBinned(next prometheus.Gatherer) *binned {
	return &binned{next: next, shown: map[string]*dto.Histogram{}}
}

// Gather is for prometheus.Gatherer.
func (b *binned) Gather() ([]*dto.MetricFamily, error) {
	families, err := b.next.Gather()
	families = slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return slices.Contains(revealing, f.GetName()) })
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

// show returns the histogram of the last scrape, or a new one once its rounded
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

// roundHistogram replaces the sum by an estimate from the rounded buckets: the
// exact sum would reveal every observation.
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
