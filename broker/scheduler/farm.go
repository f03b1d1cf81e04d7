package scheduler

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/ledger"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/nat"
)

// Farm is all agents as the scheduler sees them: what they say of themselves,
// what is promised to jobs, and what was learned from results. It is safe for
// concurrent use; each call sees and leaves it consistent.
type Farm struct {
	mu      sync.Mutex
	key     []byte
	agents  []*member
	byID    map[string]*member // by fingerprint
	byName  map[string]*member
	classes []*class

	size     estimate // of a job, farm-wide
	rel      reliability
	kinds    map[uint64]*kind
	projects map[uint64]*project

	healed, expired int // see Stats

	scratch scratch
}

// kind is what is known, farm-wide, of jobs for one target with one toolchain.
type kind struct {
	size, warm estimate
	// lost is the decayed mean of the seconds that a failed attempt took.
	lost, losses float64
}

// project is what is known, farm-wide, of one project's jobs of one kind.
type project struct {
	size estimate
	// on is where it was built of late, newest first.
	on   [8]*member
	used int64
}

// member is one agent. Its cells are short lists, not maps: they are read for
// every candidate.
type member struct {
	view     directory.Agent
	nat      nat.NAT
	account  ledger.Account
	class    *class
	place    place
	salt     uint64
	waiting  float64 // jobs in its line, each shared among its candidates
	rel      reliability
	speed    estimate
	kinds    []cell   // by kind
	projects []cell   // by kind and project; newest last
	warm     []uint64 // projects whose workspaces it says it has
	tells    bool     // whether it says so
	mark     uint64   // of the last choice that looked at it
}

type cell struct {
	key uint64
	e   estimate
}

// How much is remembered. A farm of 100 000 agents with full lists takes
// 150 MiB; what is forgotten first is what was longest unused.
const (
	maxKinds       = 32
	maxAgentKinds  = 16
	maxAgentBuilds = 24
	maxProjects    = 50_000
)

// What is believed before any result: factors give or take these spreads. The
// memories differ as the causes do: a machine's speed changes within hours
// (heat, other work), the size of a project within days.
var (
	sizePrior    = prior{variance: 4, memory: 30 * 24 * 3600}
	kindPrior    = prior{variance: 0.5, memory: 30 * 24 * 3600}
	projectPrior = prior{variance: 1, memory: 7 * 24 * 3600}
	speedPrior   = prior{variance: 0.3, memory: 3 * 3600}
	ownKindPrior = prior{variance: 0.01, memory: 12 * 3600}
	ownPrior     = prior{variance: 0.01, memory: 12 * 3600}
	warmPrior    = prior{variance: 0.5, memory: 30 * 24 * 3600}
)

// farmRate is the share of successes that is expected of an unknown farm.
const farmRate = 0.97

// NewFarm returns a farm without agents. key is for its hashes of projects; the
// same key makes the same hashes.
func NewFarm(key []byte) *Farm {
	return &Farm{
		key:  key,
		byID: map[string]*member{}, byName: map[string]*member{},
		kinds: map[uint64]*kind{}, projects: map[uint64]*project{},
	}
}

// Saw takes in what an agent says of itself, or that it is parked or not any
// more.
func (f *Farm) Saw(v directory.Agent, now time.Time) {
	if v.Status == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.memberOf(v.Fingerprint)
	if f.byName[v.Name] != a {
		if f.byName[a.view.Name] == a {
			delete(f.byName, a.view.Name)
		}
		f.byName[v.Name] = a
	}
	old := a.view
	a.view = v
	if old.Status != v.Status {
		s := v.Status
		a.nat = nat.Parse(s.NAT)
		f.healed += a.account.Status(capacity.Capacity{Cores: s.TotalCores, MemoryMB: s.TotalMemMB},
			capacity.Capacity{Cores: s.FreeCores, MemoryMB: s.FreeMemMB}, s.RunningJobs, s.EndedJobs, now)
		if a.tells = s.Warm != nil; old.Status == nil || !slices.Equal(old.Status.Warm, s.Warm) {
			a.warm = a.warm[:0]
			for _, w := range s.Warm {
				a.warm = append(a.warm, f.ProjectKey(w))
			}
		}
	}
	if old.Status == nil || !alike(&old, &v) {
		f.unplace(a)
		a.class = f.classOf(&v)
	}
	f.replace(a, now.UnixNano())
}

// memberOf returns the agent, which is new if it was never seen.
func (f *Farm) memberOf(fingerprint string) *member {
	a := f.byID[fingerprint]
	if a == nil {
		a = &member{salt: hash(fingerprint), place: place{bucket: -1}}
		a.view.Fingerprint = fingerprint
		f.agents = append(f.agents, a)
		f.byID[fingerprint] = a
	}
	return a
}

// Reserve promises a share of the agent to a job, or returns false if there is
// not enough.
func (f *Farm) Reserve(fingerprint string, r ledger.Reservation) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.byID[fingerprint]
	if a == nil || !a.account.Reserve(r) {
		return false
	}
	f.replace(a, r.Since.UnixNano())
	return true
}

// Answered says that the agent has taken the job on, until then at the latest.
func (f *Farm) Answered(fingerprint, job string, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a := f.byID[fingerprint]; a != nil {
		a.account.Answer(job, until)
	}
}

// Release ends the reservation of a job that the agent has ended, if there is
// one.
func (f *Farm) Release(fingerprint, job string, now time.Time) {
	f.end(fingerprint, job, now, (*ledger.Account).Release)
}

// Drop ends the reservation of a job whose claim is over, if there is one; see
// [ledger.Account.Drop].
func (f *Farm) Drop(fingerprint, job string, now time.Time) {
	f.end(fingerprint, job, now, (*ledger.Account).Drop)
}

func (f *Farm) end(fingerprint, job string, now time.Time, how func(*ledger.Account, string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a := f.byID[fingerprint]; a != nil && how(&a.account, job) {
		f.replace(a, now.UnixNano())
	}
}

// Free is what the agent can still promise.
func (f *Farm) Free(fingerprint string, now time.Time) capacity.Capacity {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.byID[fingerprint]
	if a == nil {
		return capacity.Capacity{}
	}
	f.expired += a.account.Expire(now)
	return a.account.Free()
}

// Queue adds a waiting job's share to the lines of its candidates, or takes it
// away with share < 0.
func (f *Farm) Queue(candidates []string, share float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range candidates {
		if a := f.byID[id]; a != nil {
			a.waiting = max(a.waiting+share/float64(len(candidates)), 0)
		}
	}
}

// Remove forgets an agent that is not listed any more.
func (f *Farm) Remove(fingerprint string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.byID[fingerprint]
	if a == nil {
		return
	}
	f.unplace(a)
	a.class = nil
	f.agents = slices.DeleteFunc(f.agents, func(b *member) bool { return a == b })
	delete(f.byID, fingerprint)
	if f.byName[a.view.Name] == a {
		delete(f.byName, a.view.Name)
	}
}

// isWarm tells whether the agent has a workspace of the project: it says so
// or, if it never says, it has built the project of late.
func (a *member) isWarm(name, project uint64) bool {
	if a.tells {
		return slices.Contains(a.warm, name)
	}
	return project != 0 && find(a.projects, project) != nil
}

// Warmth tells whether the agent has something left of earlier builds of the
// job's project.
func (f *Farm) Warmth(fingerprint string, n Need) Warmth {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, name := f.byID[fingerprint], f.ProjectKey(n.Project)
	switch {
	case a == nil || name == 0:
		return Unsaid
	case a.isWarm(name, projectKey(kindKey(n.Target, n.Toolchain.Name), name)):
		return Warm
	}
	return Cold
}

// hash is FNV-1a of the strings with a zero byte behind each. It is the same in
// every process, so that one seed always gives one choice.
func hash(s ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range s {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = h * 1099511628211
	}
	return h
}

// kindKey and projectKey name a job's levels. A project belongs to its kind: it
// is another job for another target.
func kindKey(target, toolchain string) uint64 { return hash(target, toolchain) }

func projectKey(kind, name uint64) uint64 {
	if name == 0 {
		return 0
	}
	return mix(kind ^ name)
}

// ProjectKey is what the farm knows a project by: a hash under its own key, so
// that what is stored tells nothing to who guesses at names. It is 0 for the
// empty name only.
func (f *Farm) ProjectKey(name string) uint64 {
	if name == "" {
		return 0
	}
	mac := hmac.New(sha256.New, f.key)
	mac.Write([]byte(name))
	return max(binary.BigEndian.Uint64(mac.Sum(nil)), 1)
}

// Stats is a momentary count of a farm.
type Stats struct {
	// Reservations are jobs that agents have promised a share of themselves to;
	// Cores and MemoryMB are those shares.
	Reservations, Cores, MemoryMB int
	// Healed reservations ended because an agent's status did not list the job,
	// and Expired ones by their time, since the start.
	Healed, Expired int
	// Resting agents are left alone after failures.
	Resting int
}

// Stats counts; it looks at every agent.
func (f *Farm) Stats(now time.Time) (s Stats) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.agents {
		f.expired += a.account.Expire(now)
		for _, r := range a.account.Held() {
			s.Reservations++
			s.Cores += r.Need.Cores
			s.MemoryMB += r.Need.MemoryMB
		}
		if a.rel.resting(a.salt, len(a.account.Held()), now.UnixNano()) {
			s.Resting++
		}
	}
	s.Healed, s.Expired = f.healed, f.expired
	return s
}
