package server

import (
	"github.com/farforge/farforge/broker/directory"
)

// An agent's presence is in the directory, where anybody may look, and in the
// farm, which choices are made from. Both change together, under one lock, so
// that an older poll which ends cannot take the news of a newer one back.

// arrives notes that a poll of the agent is about to be parked. listed is false
// if the agent may not serve any more.
func (s *Server) arrives(agent string) (poll directory.Parked, listed bool) {
	s.presence.Lock()
	defer s.presence.Unlock()
	s.sees(agent, true) // before others can know that it is there
	return s.cfg.Directory.Park(agent)
}

// leaves notes that the poll has ended; broken, that its connection went away.
// A poll that was ended by the broker, or carries a job, is not broken.
func (s *Server) leaves(agent string, poll directory.Parked, broken bool) {
	s.presence.Lock()
	defer s.presence.Unlock()
	if broken {
		s.metrics.stages.vanished.Inc()
		poll.Break()
	}
	poll.End(s.now())
	s.sees(agent, false)
}

// vanished notes that the connection went away when the job was written to it.
func (s *Server) vanished(agent string, poll directory.Parked) {
	s.presence.Lock()
	defer s.presence.Unlock()
	s.metrics.stages.vanished.Inc()
	poll.Break()
	s.sees(agent, false)
}

// drains notes that an agent has polled to say that it takes no more jobs.
func (s *Server) drains(agent string) {
	s.presence.Lock()
	defer s.presence.Unlock()
	s.sees(agent, false)
}

// sees passes on what the directory knows of an agent by now, or is about to
// know if it is about to be parked. The caller holds s.presence.
func (s *Server) sees(agent string, parking bool) {
	if a, ok := s.cfg.Directory.Agent(agent); ok {
		if parking {
			a.Parked, a.Vanished = true, false
		}
		s.match.farm.Saw(a, s.now())
	}
}
