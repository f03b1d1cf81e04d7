package mailbox

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Side is one end of a job.
type Side int

// The two ends.
const (
	Client Side = iota
	Agent
)

func (s Side) other() Side { return 1 - s }

// What Put and Wait fail with.
var (
	ErrUnknown = errors.New("mailbox: no such job")
	ErrNotHers = errors.New("mailbox: another agent has the job")
	ErrTooMany = errors.New("mailbox: the job has as many candidates as it may have")
	ErrFull    = errors.New("mailbox: there is no room for more")
)

// Config bounds the mailboxes. Zero fields take the defaults.
type Config struct {
	// Memory is how long a mailbox is kept after its last use. Default: 60 s.
	Memory time.Duration
	// MaxBodies bounds each direction of a job. Default: 64.
	MaxBodies int
	// MaxBytes and MaxJobs bound all of it. Defaults: 64 MiB, 1<<16.
	MaxBytes int64
	MaxJobs  int64
}

// Event is one body and its number.
type Event struct {
	Seq  int
	Body []byte
}

// Mailboxes are those of all jobs. Its methods may be called concurrently.
type Mailboxes struct {
	cfg         Config
	seed        maphash.Seed
	shards      [64]shard
	bytes, jobs atomic.Int64
	drainOnce   sync.Once
	draining    chan struct{}
}

type shard struct {
	mu    sync.Mutex
	m     map[string]*box
	swept time.Time
}

type box struct {
	agent    string // who claimed the job; empty: nobody yet
	sides    [2]side
	lastUsed time.Time
}

// side is what one end has sent, and the other's reader.
type side struct {
	bodies [][]byte
	reader chan struct{} // closed to wake the one that waits
}

// New makes them. There is nothing to close.
func New(cfg Config) *Mailboxes {
	orDefault(&cfg.Memory, time.Minute)
	orDefault(&cfg.MaxBodies, 64)
	orDefault(&cfg.MaxBytes, 64<<20)
	orDefault(&cfg.MaxJobs, 1<<16)
	m := &Mailboxes{cfg: cfg, seed: maphash.MakeSeed(), draining: make(chan struct{})}
	for i := range m.shards {
		m.shards[i].m = map[string]*box{}
	}
	return m
}

func orDefault[T int | int64 | time.Duration](v *T, fallback T) {
	if *v <= 0 {
		*v = fallback
	}
}

// Drain ends every wait, and those to come at once.
func (m *Mailboxes) Drain() { m.drainOnce.Do(func() { close(m.draining) }) }

// Touch keeps what the job has, if anything: its client still waits.
func (m *Mailboxes) Touch(jobID string) {
	s := m.lock(jobID)
	defer s.mu.Unlock()
	if b := s.m[jobID]; b != nil {
		b.lastUsed = time.Now()
	}
}

// Claim gives the agent's end of the job to the agent.
func (m *Mailboxes) Claim(jobID, agent string) {
	s := m.lock(jobID)
	defer s.mu.Unlock()
	if b, err := m.make(s, jobID); err == nil {
		b.agent = agent
		b.sides[Client].wake() // a former agent's reader
	}
}

// Put adds a body to what the side has sent; agent is empty for the client. The
// mailbox keeps body: the caller does not change it.
func (m *Mailboxes) Put(jobID, agent string, body []byte) error {
	s := m.lock(jobID)
	defer s.mu.Unlock()
	b, from, err := m.open(s, jobID, agent)
	if err != nil {
		return err
	}
	own := &b.sides[from]
	for _, have := range own.bodies {
		if bytes.Equal(have, body) {
			return nil
		}
	}
	if len(own.bodies) >= m.cfg.MaxBodies {
		return ErrTooMany
	}
	if m.bytes.Add(int64(len(body))) > m.cfg.MaxBytes {
		m.bytes.Add(-int64(len(body)))
		return ErrFull
	}
	own.bodies = append(own.bodies, body)
	own.wake()
	return nil
}

// Wait returns what the other side has sent since number after, at once if
// there is something and else as soon as there is. It returns nothing when wait
// ends first, when a newer reader of the same side comes or on Drain, and the
// cause of ctx. The bodies are not to be changed.
func (m *Mailboxes) Wait(ctx context.Context, jobID, agent string, after int, wait time.Duration) ([]Event, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var mine chan struct{}
	for {
		s := m.lock(jobID)
		b, to, err := m.open(s, jobID, agent)
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
		from := &b.sides[to.other()]
		if mine != nil && from.reader != mine && from.reader != nil {
			s.mu.Unlock()
			return nil, nil // replaced
		}
		if events := from.since(after); len(events) > 0 {
			s.mu.Unlock()
			return events, nil
		}
		if mine == nil {
			from.wake() // an older reader
		}
		mine = make(chan struct{})
		from.reader = mine
		s.mu.Unlock()

		select {
		case <-mine:
		case <-timer.C:
			return nil, nil
		case <-m.draining:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *side) wake() {
	if s.reader != nil {
		close(s.reader)
		s.reader = nil
	}
}

func (s *side) since(after int) []Event {
	var events []Event
	for i := max(after, 0); i < len(s.bodies); i++ {
		events = append(events, Event{Seq: i + 1, Body: s.bodies[i]})
	}
	return events
}

// lock returns the job's shard, locked.
func (m *Mailboxes) lock(jobID string) *shard {
	s := &m.shards[maphash.String(m.seed, jobID)%uint64(len(m.shards))]
	s.mu.Lock()
	if now := time.Now(); now.Sub(s.swept) > m.cfg.Memory/4 {
		m.sweep(s, now)
	}
	return s
}

// open returns the job's mailbox and whose side asks. The shard is locked.
func (m *Mailboxes) open(s *shard, jobID, agent string) (*box, Side, error) {
	if agent == "" {
		b, err := m.make(s, jobID)
		return b, Client, err
	}
	b := s.m[jobID]
	switch {
	case b == nil || b.agent == "":
		return nil, Agent, ErrUnknown
	case b.agent != agent:
		return nil, Agent, ErrNotHers
	}
	b.lastUsed = time.Now()
	return b, Agent, nil
}

func (m *Mailboxes) make(s *shard, jobID string) (*box, error) {
	b := s.m[jobID]
	if b == nil {
		if m.jobs.Load() >= m.cfg.MaxJobs {
			return nil, ErrFull
		}
		m.jobs.Add(1)
		b = &box{}
		s.m[jobID] = b
	}
	b.lastUsed = time.Now()
	return b, nil
}

// sweep forgets what is out of use. A mailbox with a reader is forgotten, too:
// a wait is shorter than the memory.
func (m *Mailboxes) sweep(s *shard, now time.Time) {
	s.swept = now
	for id, b := range s.m {
		if now.Sub(b.lastUsed) <= m.cfg.Memory {
			continue
		}
		for i := range b.sides {
			for _, body := range b.sides[i].bodies {
				m.bytes.Add(-int64(len(body)))
			}
			b.sides[i].wake()
		}
		delete(s.m, id)
		m.jobs.Add(-1)
	}
}
