package directory

import "time"

// Parked is a parked poll of a listed agent. End ends it, once.
type Parked struct {
	e      *entry
	number uint64
}

// Park records that a poll of the agent is parked until it is ended. ok is false
// if the agent is not listed.
func (d *Directory) Park(fingerprint string) (p Parked, ok bool) {
	e, ok := d.table.Load().byName[fingerprint]
	if !ok {
		return Parked{}, false
	}
	p = Parked{e, e.polls.Add(1)}
	e.parked.Add(1)
	return p, true
}

// Gone is closed when the agent is taken off the list.
func (p Parked) Gone() <-chan struct{} { return p.e.gone }

// Break records that the poll's connection went away, before or after End. If it
// is the agent's newest poll, the agent has vanished until it parks another. An
// older one says nothing: the agent had given it up for a newer one.
func (p Parked) Break() {
	if p.e.polls.Load() == p.number {
		p.e.broken.Store(p.number)
	}
}

// End records that the poll is not parked any more. The agent was last seen then,
// also if it vanished.
func (p Parked) End(now time.Time) {
	p.e.lastSeen.Store(now.UnixNano())
	p.e.parked.Add(-1)
}

// vanished tells whether the agent's newest poll broke and no other is parked.
func (s *state) vanished() bool {
	n := s.broken.Load()
	return n != 0 && n == s.polls.Load() && s.parked.Load() == 0
}
