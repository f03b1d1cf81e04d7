package server

import (
	"github.com/farforge/farforge/broker/directory"
)

// leaves notes that the poll has ended; broken, that its connection went away.
// A poll that was ended by the broker, or carries a job, is not broken.
func (s *Server) leaves(poll directory.Poll, broken bool) {
	if broken {
		s.metrics.stages.vanished.Inc()
		poll.Break()
	}
	poll.End(s.now())
}

// vanished notes that the connection went away when the job was written to it.
func (s *Server) vanished(poll directory.Poll) {
	s.metrics.stages.vanished.Inc()
	poll.Break()
}
