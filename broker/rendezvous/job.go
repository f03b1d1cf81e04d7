package rendezvous

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// maxCandidates is the width of job.late.
const maxCandidates = 64

type jobState uint32

const (
	waiting jobState = iota
	away
	claimed
	answered
	failed
	dropped
)

// job is one offer. Fields above mu never change.
type job struct {
	id         string
	digest     [sha256.Size]byte // of the client and the offer
	user       string
	need       capacity.Capacity
	candidates []string
	ticket     uint64 // order among its user's jobs in every line
	offered    time.Time
	waiters    *atomic.Int64 // how many jobs are in the state waiting

	mu sync.Mutex
	// state is written under mu; lines read it without.
	state    atomic.Uint32
	offer    Offer
	call     *call // the blocked Offer, if any
	holder   int   // index of the candidate that holds the claim
	claim    uint64
	answerBy time.Time
	late     uint64 // bit per candidate that is not asked again
	refusals []uint8
	answer   []byte
	sum      [sha256.Size]byte // of the answer
	fetched  bool
	lastUsed time.Time
	queued   bool
	gaveUp   bool  // the last request that waited had its response
	size     int64 // what this job adds to counters.bytes

	// places[i] is the job's place in the line of candidates[i], guarded by
	// that agent's mutex.
	places []*list.Element
}

// call is one blocked Offer. Its channel only says "look again".
type call struct{ wake chan struct{} }

func (c *call) notify() {
	if c == nil {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (j *job) is(s jobState) bool { return jobState(j.state.Load()) == s }

// set changes the state. The caller holds mu.
func (j *job) set(s jobState) {
	old := jobState(j.state.Swap(uint32(s)))
	switch {
	case old == s:
	case old == waiting:
		j.waiters.Add(-1)
	case s == waiting:
		j.waiters.Add(1)
	}
}

// over tells whether nobody can claim the job ever again.
func (j *job) over() bool { return jobState(j.state.Load()) >= answered }

// weigh counts the bytes that the job keeps from now on. The caller holds mu.
func (j *job) weigh(r *Rendezvous, n int) {
	r.stats.bytes.Add(int64(n) - j.size)
	j.size = int64(n)
}

func (j *job) isLate(i int) bool { return j.late&(1<<i) != 0 }

// allLate tells whether no candidate is left to ask.
func (j *job) allLate() bool { return j.late == 1<<len(j.candidates)-1 }

// detach is called under mu by the Offer that leaves.
func (j *job) detach(now time.Time) {
	j.call = nil
	j.lastUsed = now
}
