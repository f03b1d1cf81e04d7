package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/rendezvous"
)

// moments are metrics that are looked up when somebody asks: what waits and what
// is reserved, and the counts that the meeting point and the farm keep anyway. All
// come from one look at each.
type moments struct {
	s    *Server
	rows []row
}

type row struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*moment) float64
}

// moment is what there is right now.
type moment struct {
	meet         rendezvous.Stats
	held         directory.Totals
	resting      int
	oldest       time.Duration
	alive, known int
}

func newMoments(s *Server) *moments {
	m := &moments{s: s}
	add := func(kind prometheus.ValueType, name, help string, labels prometheus.Labels, value func(*moment) float64) {
		m.rows = append(m.rows, row{prometheus.NewDesc("farforge_broker_"+name, help, nil, labels), kind, value})
	}
	gauge := func(name, help string, value func(*moment) float64) {
		add(prometheus.GaugeValue, name, help, nil, value)
	}
	count := func(name, help string, value func(*moment) float64) {
		add(prometheus.CounterValue, name, help, nil, value)
	}

	gauge("agents_listed", "Agents that may serve.", func(t *moment) float64 { return float64(t.known) })
	gauge("agents_alive", "Agents that are parked or were seen a moment ago.", func(t *moment) float64 { return float64(t.alive) })
	gauge("agents_resting", "Agents that are left alone for now, as they failed again and again.", func(t *moment) float64 { return float64(t.resting) })
	gauge("parked_polls", "Polls that wait for a job.", func(t *moment) float64 { return float64(t.meet.Parked) })
	count("polls_superseded_total", "Polls that a newer one of the same agent ended.", func(t *moment) float64 { return float64(t.meet.Superseded) })

	gauge("jobs", "Jobs in memory.", func(t *moment) float64 { return float64(t.meet.Jobs) })
	gauge("waiting_offers", "Offers that wait for an answer.", func(t *moment) float64 { return float64(t.meet.Offering) })
	gauge("queue_jobs", "Jobs that wait for an agent to claim them.", func(t *moment) float64 { return float64(t.meet.Waiting) })
	gauge("queue_places", "Places of waiting jobs in the lines of agents; a job has one for each candidate.", func(t *moment) float64 { return float64(t.meet.Queued) })
	gauge("queue_oldest_wait_seconds", "How long ago the job was first offered that waits longest; 0 if none waits.", func(t *moment) float64 { return t.oldest.Seconds() })
	for end, value := range map[string]func(*moment) float64{
		"claimed":  func(t *moment) float64 { return float64(t.meet.Met) },
		"given_up": func(t *moment) float64 { return float64(t.meet.GaveUp) },
		"hung_up":  func(t *moment) float64 { return float64(t.meet.HungUp) },
	} {
		add(prometheus.CounterValue, "queue_ended_total",
			"Jobs by how their wait ended: claimed; given up, as the client did not ask again; or hung up, as its request broke off and it did not come back.",
			prometheus.Labels{"end": end}, value)
	}

	count("claims_total", "Jobs that went to an agent.", func(t *moment) float64 { return float64(t.meet.Claims) })
	count("claims_revoked_total", "Claims that were not answered in time.", func(t *moment) float64 { return float64(t.meet.Revoked) })
	count("claims_refused_total", "Claims that the agent refused.", func(t *moment) float64 { return float64(t.meet.Refused) })
	count("claims_handed_back_total", "Claims whose poll was gone.", func(t *moment) float64 { return float64(t.meet.HandedBack) })

	gauge("reservations", "Jobs that agents have reserved room for.", func(t *moment) float64 { return float64(t.held.Reservations) })
	gauge("reserved_cores", "Cores that are reserved for jobs.", func(t *moment) float64 { return float64(t.held.Reserved.Cores) })
	gauge("reserved_memory_bytes", "Memory that is reserved for jobs.", func(t *moment) float64 { return float64(t.held.Reserved.MemoryMB) * (1 << 20) })
	count("reservations_refused_total", "Claims that were not made, as the agent has less room than its poll said.", func(t *moment) float64 { return float64(t.meet.Full) })
	count("reservations_healed_total", "Reservations that ended because the agent's status does not list the job.", func(t *moment) float64 { return float64(t.held.Healed) })
	count("reservations_expired_total", "Reservations that ended by their time, as nobody said what became of the job.", func(t *moment) float64 { return float64(t.held.Expired) })
	return m
}

// Describe is for prometheus.Collector.
func (m *moments) Describe(ch chan<- *prometheus.Desc) {
	for i := range m.rows {
		ch <- m.rows[i].desc
	}
}

// Collect is for prometheus.Collector.
func (m *moments) Collect(ch chan<- prometheus.Metric) {
	s, now := m.s, m.s.now()
	t := moment{meet: s.meet.Stats(), held: s.cfg.Directory.Totals(now), resting: s.match.farm.Resting(now)}
	if oldest := s.meet.Oldest(); !oldest.IsZero() {
		t.oldest = time.Since(oldest)
	}
	agents := s.cfg.Directory.Snapshot()
	t.known = agents.Len()
	for i := range t.known {
		if a := agents.At(i); a.Alive(now, s.cfg.AgentGrace) {
			t.alive++
		}
	}
	for i := range m.rows {
		ch <- prometheus.MustNewConstMetric(m.rows[i].desc, m.rows[i].kind, m.rows[i].value(&t))
	}
}
