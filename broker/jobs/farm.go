package jobs

import (
	"crypto/hkdf"
	"crypto/sha256"
	"math/rand/v2"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
)

// farm is the scheduler and the directory as the jobs use them. The directory owns
// the facts about each agent: presence, status and reservations. The scheduler
// observes the directory and owns the estimates.
type farm struct {
	*scheduler.Farm
	cfg     *Config
	metrics *metrics
	started time.Time
}

func newFarm(cfg *Config, m *metrics) *farm {
	key, err := hkdf.Key(sha256.New, cfg.Secret, nil, "farforge: keys of projects", 32)
	if err != nil {
		panic(err) // only for an invalid length
	}
	f := &farm{Farm: scheduler.NewFarm(key), cfg: cfg, metrics: m, started: cfg.Now()}
	cfg.Directory.Observe(f.Farm)
	return f
}

// free returns the agent's free capacity.
func (f *farm) free(agent string) capacity.Capacity { return f.cfg.Directory.Free(agent, f.cfg.Now()) }

// reserve sets aside what the job needs until the claim is answered or ends. Once
// it is answered, the reservation lives until the report or the session's end.
func (f *farm) reserve(j *Job, agent string, now time.Time) (expected time.Duration, ok bool) {
	expected = f.Expect(agent, j.need, now)
	return expected, f.cfg.Directory.Reserve(agent, directory.Reservation{
		Job: j.id, Need: j.need.Capacity,
		Since: now, Until: now.Add(f.cfg.AnswerTimeout + time.Second), Done: now.Add(expected),
	})
}

// choose returns the candidates for a job, best first, or the unmet need.
func (f *farm) choose(n scheduler.Need, now time.Time) ([]scheduler.Ranked, error) {
	o := scheduler.Options{Now: now, Grace: f.cfg.AgentGrace, Max: f.cfg.MaxCandidates, Seed: rand.Uint64()}
	start := time.Now()
	ranked := f.Choose(n, o)
	f.metrics.choice.Observe(time.Since(start).Seconds())
	if len(ranked) == 0 {
		return nil, &UnmetError{scheduler.Explain(f.cfg.Directory.Snapshot(), n, o)}
	}
	return ranked, nil
}

// anyAlive reports whether one of the agents may still claim its job. Just after
// the start the broker has seen no agent yet, and every agent may.
func (f *farm) anyAlive(agents []string) bool {
	now := f.cfg.Now()
	if now.Sub(f.started) < f.cfg.AgentGrace {
		return true
	}
	for _, id := range agents {
		if a, ok := f.cfg.Directory.Agent(id); ok && a.Alive(now, f.cfg.AgentGrace) {
			return true
		}
	}
	return false
}

// learn passes a lesson about a listed agent on to the scheduler and the history.
func (f *farm) learn(l *lesson) {
	if _, listed := f.cfg.Directory.Lookup(l.result.Agent); !listed {
		return
	}
	f.Learn(l.result)
	if l.result.Verdict == scheduler.Built {
		f.metrics.learned(l.result.Took, l.expected)
	}
	if f.cfg.History == nil {
		return
	}
	if err := f.cfg.History.Add(l.result); err != nil {
		f.cfg.Logger.Error("a result is not kept over the next restart", "err", err)
	}
}

// recall learns the results of the history, about agents that are still listed.
func (f *farm) recall() error {
	if f.cfg.History == nil {
		return nil
	}
	results, unread, err := f.cfg.History.Results()
	if err != nil {
		return err
	}
	if unread > 0 {
		f.cfg.Logger.Warn("some of the history is damaged or of another version; it is left out", "results", unread)
	}
	for _, r := range results {
		if _, listed := f.cfg.Directory.Lookup(r.Agent); listed {
			f.Learn(r)
		}
	}
	return nil
}

// AgentInfo returns what users may know about a listed agent: nil if it does not
// meet the need.
func (b *Board) AgentInfo(a *directory.Agent, need *scheduler.Need) *api.AgentInfo {
	if !scheduler.Meets(a, need) {
		return nil
	}
	info := b.farm.Info(a, &scheduler.Options{Now: b.now(), Grace: b.cfg.AgentGrace})
	return &info
}
