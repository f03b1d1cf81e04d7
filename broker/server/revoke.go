package server

import "github.com/farforge/farforge/common/identity"

// revoked is called for an agent that is not listed any more. Its session is
// refused and its parked poll ends by themselves, as both ask the directory;
// the jobs that it holds must be taken from it. Sessions between peers do not
// pass through here and end by their own limits.
func (s *Server) revoked(who identity.Authorized) {
	s.cfg.Logger.Warn("an agent is not listed any more; its session is void", "agent", who.Name)
	s.meet.Expel(who.Fingerprint)
}
