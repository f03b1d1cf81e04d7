package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// process is one life of a machine's agent.
type process struct {
	*machine
	alive context.Context

	mu      sync.Mutex
	jobs    []*owed         // that it has got, and not ended
	ended   []string        // the last that were answered and have ended
	used    map[string]bool // by grant
	changed chan struct{}
}

// nap waits, and reports whether the process is still alive.
func (p *process) nap(d time.Duration) bool {
	select {
	case <-time.After(d):
		return p.alive.Err() == nil
	case <-p.alive.Done():
		return false
	}
}

// poll keeps a poll parked at the broker, and sends a newer one when the status has
// changed, as the real agent does.
func (p *process) poll(rnd *rand.Rand) {
	type result struct {
		number int
		failed bool
	}
	results, newest := make(chan result), 0
	send := func() {
		newest++
		number, status, own := newest, p.status(), rand.New(rand.NewPCG(rnd.Uint64(), 0))
		p.d.trace(p.name, "poll %d goes out with %d", number, status.FreeCores)
		p.d.running.Go(func() {
			var got *owed
			code, _ := p.d.send(p.alive, own, api.PathAgentPoll+fmt.Sprintf("?wait=%d", own.IntN(26)), p.session, status,
				func(code int, body []byte, broker context.Context) {
					p.d.trace(p.name, "poll %d has its response", number)
					if code == http.StatusOK {
						if got = p.read(body, broker); !p.uses(got, false) {
							p.owe(got, p.alive)
						}
					}
				})
			if got != nil && code == http.StatusOK {
				p.take(got, own)
			}
			select {
			case results <- result{number, code != http.StatusOK && code != http.StatusNoContent}:
			case <-p.alive.Done():
			}
		})
	}
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case r := <-results:
			switch {
			case r.number != newest: // a newer one is under way
			case r.failed:
				again.Reset(p.d.grain + p.d.upTo(rnd, p.d.pause))
			default:
				send()
			}
		case <-p.changed:
			send()
		case <-again.C:
			send()
		case <-p.alive.Done():
			return
		}
	}
}

func (p *process) read(body []byte, broker context.Context) *owed {
	var job api.Job
	if err := json.Unmarshal(body, &job); err != nil {
		p.d.t.Error(err)
	}
	t, err := p.d.now().board.Redeem(job.Grant, job.JobID, 0)
	if err != nil {
		p.d.t.Fatal(err)
	}
	g := t.Grant
	return &owed{job: job.JobID, claim: job.Claim, cores: g.CPUCores.Whole(), memory: g.MemoryMB, answerBy: job.AnswerBy, broker: broker}
}

// status returns the current status of the process.
func (p *process) status() *api.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := idleStatus()
	s.TotalCores, s.TotalMemMB = p.cores, p.memory
	cores, memory := p.cores, p.memory
	for _, o := range p.jobs {
		s.RunningJobs = append(s.RunningJobs, o.job)
		cores, memory = cores-o.cores, memory-o.memory
	}
	s.FreeCores, s.FreeMemMB = max(cores, 0), max(memory, 0)
	s.EndedJobs = slices.Clone(p.ended)
	p.d.trace(p.name, "reports %d free cores and %d jobs", s.FreeCores, len(s.RunningJobs))
	return s
}

func (p *process) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// uses reports whether the process has the job, or had it and has answered it;
// answered marks it as answered.
func (p *process) uses(o *owed, answered bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	has := slices.ContainsFunc(p.jobs, func(other *owed) bool { return other.job == o.job })
	if answered {
		p.used[o.job] = true
	}
	return has || p.used[o.job]
}

// take begins a job that has arrived. The process refuses a job that it has or had
// before: the client has offered it again to a broker that was restarted.
func (p *process) take(o *owed, rnd *rand.Rand) {
	twice := p.uses(o, false)
	if !twice {
		p.change(func() { p.jobs = append(p.jobs, o) })
	}
	p.d.running.Go(func() {
		if twice {
			p.end(o)
			p.report(rnd, o, api.OutcomeRefused)
			return
		}
		p.work(o, rnd)
	})
}

func (p *process) drop(o *owed) {
	p.end(o)
	p.change(func() { p.jobs = slices.DeleteFunc(p.jobs, func(other *owed) bool { return other == o }) })
}

// done drops a job that the process has answered; later polls report it as ended.
func (p *process) done(o *owed) {
	p.change(func() {
		p.ended = append(p.ended, o.job)
		p.ended = p.ended[max(len(p.ended)-api.MaxEnded, 0):]
	})
	p.drop(o)
}

// work plays a job to one of many ends.
func (p *process) work(o *owed, rnd *rand.Rand) {
	late := time.Until(o.answerBy) + p.d.upTo(rnd, p.d.think)
	switch luck := rnd.IntN(12); {
	case luck == 0:
		p.d.note("refused")
		p.drop(o)
		p.report(rnd, o, api.OutcomeRefused)
		return
	case luck == 1:
		p.d.note("failed before the answer")
		p.drop(o)
		p.report(rnd, o, api.OutcomeAgentFailed)
		return
	case rnd.IntN(p.d.late) == 0:
		p.nap(late)
		if luck%2 == 0 {
			p.d.note("silent")
			p.drop(o)
			return
		}
	default:
		p.nap(p.d.upTo(rnd, p.d.think))
	}
	p.uses(o, true)
	code, _ := p.d.send(p.alive, rnd, pathOf(api.PathAnswer, o.job), p.session, []byte("answer"), func(code int, _ []byte, _ context.Context) {
		if code == http.StatusNoContent {
			p.accept(o)
		}
	})
	p.d.note(fmt.Sprintf("answer %d", code))
	if code != http.StatusNoContent {
		p.drop(o) // it is another's
		return
	}
	p.nap(p.d.upTo(rnd, p.d.work))
	p.done(o)
	outcome := []api.Outcome{api.OutcomeSucceeded, api.OutcomeBuildFailed, api.OutcomeAgentFailed, api.OutcomeCanceled, api.OutcomeLost}[rnd.IntN(5)]
	if rnd.IntN(p.d.late) > 0 { // or else the report gets lost
		p.report(rnd, o, outcome)
	}
}

// report reports how a job ended; sometimes twice, as after a lost response.
func (p *process) report(rnd *rand.Rand, o *owed, outcome api.Outcome) {
	rep := &api.Report{JobID: o.job, Claim: o.claim, Outcome: outcome, DurationMS: 1}
	var err error
	if rep.Signature, err = p.key.Sign(identity.NamespaceReport, rep.SignedBytes()); err != nil {
		p.d.t.Error(err)
	}
	p.d.trace(p.name, "%s is reported as %s", o.short(), outcome)
	times := 1
	if rnd.IntN(6) == 0 {
		times = 2
	}
	for range times {
		code, _ := p.d.send(p.alive, rnd, api.PathAgentReport, p.session, rep, nil)
		p.d.note(fmt.Sprintf("report %d", code))
	}
}
