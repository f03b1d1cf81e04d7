package rendezvous

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/capacity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testJob is a stand-in for the records of broker/jobs, which has the tests of
// whole jobs.
type testJob struct {
	entry   Entry[*testClaim]
	waiting atomic.Bool
	full    bool // the agent has too little room, despite Free

	mu     sync.Mutex
	queued bool
	by     string
}

type testClaim struct {
	job        *testJob
	handedBack atomic.Bool
}

func (c *testClaim) HandBack() { c.handedBack.Store(true) }

func newTestJob(user string, cores int, candidates ...string) *testJob {
	j := &testJob{}
	j.entry = Entry[*testClaim]{Job: j, User: user, Need: capacity.Capacity{Cores: cores, MemoryMB: 1}, Candidates: candidates}
	j.waiting.Store(true)
	return j
}

func newEntry(user string, cores int) *Entry[*testClaim] { return &newTestJob(user, cores).entry }

func take(e *Entry[*testClaim]) { e.Job.(*testJob).waiting.Store(false) }

func (j *testJob) Waiting() bool         { return j.waiting.Load() }
func (j *testJob) Counts(time.Time) bool { return j.waiting.Load() }

func (j *testJob) Enter(int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.queued = j.waiting.Load()
	return j.queued
}

func (j *testJob) Claim(i int) (*testClaim, Result) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.full:
		return nil, Full
	case !j.waiting.CompareAndSwap(true, false):
		return nil, Unavailable
	}
	j.by = j.entry.Candidates[i]
	return &testClaim{job: j}, Claimed
}

// ground is a meeting point and the room of all its agents.
type ground struct {
	*Rendezvous[*testClaim]
	cores atomic.Int64
}

func newGround() *ground {
	g := &ground{}
	g.cores.Store(8)
	g.Rendezvous = New[*testClaim](Config{Memory: time.Minute, Free: func(string) capacity.Capacity {
		return capacity.Capacity{Cores: int(g.cores.Load()), MemoryMB: 1 << 20}
	}})
	return g
}

// offer makes a job and dispatches it.
func (g *ground) offer(user string, cores int, candidates ...string) *testJob {
	j := newTestJob(user, cores, candidates...)
	g.Join(&j.entry)
	g.Dispatch(&j.entry)
	return j
}
