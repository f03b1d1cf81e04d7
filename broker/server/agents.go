package server

import (
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// agentLogin is how agents open sessions: with a key in the operator's list.
func (s *Server) agentLogin() login {
	return login{
		role: identity.RoleAgent, hello: api.PathAgentHello, list: "agents",
		seal: s.sessions, lookup: s.cfg.Directory.Lookup,
	}
}
