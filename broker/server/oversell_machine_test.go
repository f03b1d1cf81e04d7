package server

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/farforge/farforge/common/identity"
)

// machine is a build machine in the simulation. It never checks whether a job fits:
// only the broker does.
type machine struct {
	d             *badDay
	name, session string
	key           *identity.Key
	cores, memory int

	mu   sync.Mutex
	owes map[*owed]bool // since the broker's response
}

// owed is a job that the broker has given to the machine.
type owed struct {
	job      string
	claim    int
	cores    int
	memory   int
	answerBy time.Time
	broker   context.Context // ends with the broker that sent it
	accepted bool            // the broker has accepted the answer
}

// short returns a short name of the job, for messages.
func (o *owed) short() string { return o.job[len(o.job)-4:] }

// counts reports whether the job is owed: after its answer was accepted, or while
// the answer may be accepted.
func (o *owed) counts() bool {
	return o.accepted || o.broker.Err() == nil && time.Now().Before(o.answerBy)
}

// owe is called when the broker sends the job, to a process that may have just
// died.
func (m *machine) owe(o *owed, process context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if process.Err() != nil {
		return
	}
	m.owes[o] = true
	m.d.trace(m.name, "%s, %d cores, is given", o.short(), o.cores)
	cores, memory := 0, 0
	for o := range m.owes {
		if o.counts() {
			cores, memory = cores+o.cores, memory+o.memory
		}
	}
	if cores > m.cores || memory > m.memory {
		m.d.t.Errorf("seed %d: %s owes %d cores and %d MiB, of %d and %d; its trace:\n%s", m.d.seed, m.name, cores, memory, m.cores, m.memory, m.d.tracesOf(m.name))
	}
}

func (m *machine) end(o *owed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.owes, o)
	m.d.trace(m.name, "%s is over", o.short())
}

// accept is called when the broker accepts the answer.
func (m *machine) accept(o *owed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o.accepted = true
	m.d.trace(m.name, "%s is answered", o.short())
}

// crash ends a process and its jobs.
func (m *machine) crash(kill func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.owes)
	kill()
	m.d.trace(m.name, "it crashes")
}

// live runs the agent, and starts it again after each crash.
func (m *machine) live(rnd *rand.Rand) {
	quiet := time.Now().Add(m.d.length) // no crash after it
	for m.d.over.Err() == nil {
		alive, kill := context.WithCancel(m.d.over)
		p := &process{machine: m, alive: alive, changed: make(chan struct{}, 1), used: map[string]bool{}}
		if life := m.d.grain + m.d.upTo(rnd, m.d.life); time.Now().Add(life).Before(quiet) {
			timer := time.AfterFunc(life, func() { m.crash(kill) })
			defer timer.Stop()
		}
		p.poll(rand.New(rand.NewPCG(rnd.Uint64(), 0)))
		kill()
		if m.d.over.Err() == nil {
			m.d.note("an agent crashed")
			time.Sleep(m.d.grain + m.d.upTo(rnd, m.d.life/8))
		}
	}
}
