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

// newFarm returns the scheduler of the directory's agents. The directory owns what
// is known about each agent: presence, status and reservations. The scheduler
// observes it, and has what was learned.
func newFarm(cfg *Config) *scheduler.Farm {
	key, err := hkdf.Key(sha256.New, cfg.Secret, nil, "farforge: keys of projects", 32)
	if err != nil {
		panic(err) // only for lengths that 32 is not
	}
	farm := scheduler.NewFarm(key)
	cfg.Directory.Observe(farm)
	return farm
}

// free is what the agent can give to a job now.
func (b *Board) free(agent string) capacity.Capacity { return b.cfg.Directory.Free(agent, b.now()) }

// reserve sets aside what the job needs until the claim is answered or ends. Once
// it is answered, the reservation lives until the report or the session's end.
func (b *Board) reserve(j *Job, agent string, now time.Time) (expected time.Duration, ok bool) {
	expected = b.farm.Expect(agent, j.need, now)
	return expected, b.cfg.Directory.Reserve(agent, directory.Reservation{
		Job: j.id, Need: j.need.Capacity,
		Since: now, Until: now.Add(b.cfg.AnswerTimeout + time.Second), Done: now.Add(expected),
	})
}

// choose returns the candidates for a job, best first, or which need is unmet.
func (b *Board) choose(n scheduler.Need, now time.Time) ([]scheduler.Ranked, error) {
	o := scheduler.Options{Now: now, Grace: b.cfg.AgentGrace, Max: b.cfg.MaxCandidates, Seed: rand.Uint64()}
	start := time.Now()
	ranked := b.farm.Choose(n, o)
	b.metrics.choice.Observe(time.Since(start).Seconds())
	if len(ranked) == 0 {
		return nil, &UnmetError{scheduler.Explain(b.cfg.Directory.Snapshot(), n, o)}
	}
	return ranked, nil
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
