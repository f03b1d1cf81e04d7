package server

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
)

// shownAgents serves GET /agents: what whoever may ask for grants may know of
// the agents. That is what they can do and how busy they are; not where they are,
// and nothing of anybody's jobs. It counts as no grant.
func (s *Server) shownAgents(w *response, r *http.Request) error {
	if _, err := s.userOf(r); err != nil {
		return err
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return malformed("the query: " + err.Error())
	}
	query, err := api.ParseAgentQuery(values)
	if err != nil {
		return malformed(err.Error())
	}
	need, err := scheduler.NeedOf(&api.GrantRequest{Target: query.Target, Toolchain: query.Toolchain, Tags: query.Tags})
	if err != nil {
		return err // it was parsed once already
	}
	o := scheduler.Options{Now: s.now(), Grace: s.cfg.AgentGrace}
	return s.page(w, r, query.Values(), func(a *directory.Agent) ([]byte, error) {
		if !scheduler.Meets(a, &need) {
			return nil, nil
		}
		return encodeInfo(s.match.farm.Info(a, &o))
	})
}

// encodeInfo writes one element. Only an agent that wants to be a nuisance says
// that it can do more than a page holds; some of that is left out.
func encodeInfo(info api.AgentInfo) ([]byte, error) {
	text, err := json.Marshal(info)
	for err == nil && len(text) > maxElement {
		info.Capabilities = info.Capabilities[:len(info.Capabilities)/2]
		text, err = json.Marshal(info)
	}
	return text, err
}
