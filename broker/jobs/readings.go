package jobs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/farforge/farforge/broker/directory"
)

// readings are metrics that are looked up at a scrape: waiting jobs, reservations,
// and the counts of the board, the rendezvous and the directory.
type readings struct {
	board *Board
	rows  []row
}

type row struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*reading) float64
}

// reading is the state of the broker at a scrape.
type reading struct {
	Stats
	held         directory.Totals
	resting      int
	oldest       time.Duration
	alive, known int
}

func newReadings(b *Board) *readings {
	m := &readings{board: b}
	add := func(kind prometheus.ValueType, name, help string, labels prometheus.Labels, value func(*reading) float64) {
		m.rows = append(m.rows, row{prometheus.NewDesc("farforge_broker_"+name, help, nil, labels), kind, value})
	}
	gauge := func(name, help string, value func(*reading) float64) {
		add(prometheus.GaugeValue, name, help, nil, value)
	}
	count := func(name, help string, value func(*reading) float64) {
		add(prometheus.CounterValue, name, help, nil, value)
	}

	gauge("agents_listed", "Agents that may serve.", func(r *reading) float64 { return float64(r.known) })
	gauge("agents_alive", "Agents that are parked or were parked within the grace time.", func(r *reading) float64 { return float64(r.alive) })
	gauge("agents_resting", "Agents that get no jobs for now because they failed repeatedly.", func(r *reading) float64 { return float64(r.resting) })
	gauge("parked_polls", "Polls that wait for a job.", func(r *reading) float64 { return float64(r.Parked) })
	count("polls_superseded_total", "Polls that a newer poll of the same agent ended.", func(r *reading) float64 { return float64(r.Superseded) })

	gauge("jobs", "Jobs in memory, from their grant until they are forgotten.", func(r *reading) float64 { return float64(r.Jobs) })
	gauge("waiting_offers", "Offers that wait for an answer.", func(r *reading) float64 { return float64(r.Offering) })
	gauge("queue_jobs", "Jobs that wait for a claim.", func(r *reading) float64 { return float64(r.Waiting) })
	gauge("queue_places", "Places of waiting jobs in the lines of agents; a job has one for each candidate.", func(r *reading) float64 { return float64(r.Queued) })
	gauge("queue_oldest_wait_seconds", "Time since the first offer of the job that waits longest; 0 if none waits.", func(r *reading) float64 { return r.oldest.Seconds() })
	for end, value := range map[string]func(*reading) float64{
		"claimed":  func(r *reading) float64 { return float64(r.Met) },
		"given_up": func(r *reading) float64 { return float64(r.GaveUp) },
		"hung_up":  func(r *reading) float64 { return float64(r.HungUp) },
	} {
		add(prometheus.CounterValue, "queue_ended_total",
			"Jobs by how their wait ended: claimed; given_up, after a complete request; or hung_up, after a broken one.",
			prometheus.Labels{"end": end}, value)
	}

	count("claims_total", "Jobs that an agent claimed.", func(r *reading) float64 { return float64(r.Claims) })
	count("claims_revoked_total", "Claims that were not answered in time.", func(r *reading) float64 { return float64(r.Revoked) })
	count("claims_refused_total", "Claims that the agent refused.", func(r *reading) float64 { return float64(r.Refused) })
	count("claims_handed_back_total", "Claims whose poll broke before the agent had the job.", func(r *reading) float64 { return float64(r.HandedBack) })

	gauge("reservations", "Jobs for which agents have reserved room.", func(r *reading) float64 { return float64(r.held.Reservations) })
	gauge("reserved_cores", "Cores that are reserved for jobs.", func(r *reading) float64 { return float64(r.held.Reserved.Cores) })
	gauge("reserved_memory_bytes", "Memory that is reserved for jobs.", func(r *reading) float64 { return float64(r.held.Reserved.MemoryMB) * (1 << 20) })
	count("reservations_refused_total", "Claims that were not made because the agent had too little room.", func(r *reading) float64 { return float64(r.Full) })
	count("reservations_healed_total", "Reservations that ended because the agent's status does not list the job.", func(r *reading) float64 { return float64(r.held.Healed) })
	count("reservations_expired_total", "Reservations that ended by their time, without a report.", func(r *reading) float64 { return float64(r.held.Expired) })
	return m
}

// Describe is for prometheus.Collector.
func (m *readings) Describe(ch chan<- *prometheus.Desc) {
	for i := range m.rows {
		ch <- m.rows[i].desc
	}
}

// Collect is for prometheus.Collector.
func (m *readings) Collect(ch chan<- prometheus.Metric) {
	b, now := m.board, m.board.now()
	r := reading{Stats: b.Stats(), held: b.cfg.Directory.Totals(now), resting: b.farm.Resting(now)}
	if oldest := b.Oldest(); !oldest.IsZero() {
		r.oldest = now.Sub(oldest)
	}
	agents := b.cfg.Directory.Snapshot()
	r.known = agents.Len()
	for i := range r.known {
		if a := agents.At(i); a.Alive(now, b.cfg.AgentGrace) {
			r.alive++
		}
	}
	for i := range m.rows {
		ch <- prometheus.MustNewConstMetric(m.rows[i].desc, m.rows[i].kind, m.rows[i].value(&r))
	}
}
