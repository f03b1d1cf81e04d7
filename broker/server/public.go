package server

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
)

// public serves the requests without a job: the list of agents, for users, and the
// broker's health and keys, without a token.
type public struct{ *Server }

func (s public) routes() []route {
	return []route{
		{http.MethodGet, api.PathAgents, "agents", s.limited(s.agents)},
		{http.MethodGet, api.PathHealth, "health", s.health},
		{http.MethodGet, api.PathJWKS, "jwks", s.jwks},
	}
}

// health serves GET /health.
func (s public) health(w *response, _ *http.Request) error {
	status := "ok"
	if s.board.Draining() {
		status = "draining"
	}
	return w.json(http.StatusOK, &api.Health{Status: status, Version: s.cfg.Version, STUN: s.cfg.STUN})
}

// jwks serves GET /.well-known/jwks.json: the keys that verify grants, as a JWK
// Set (RFC 7517), and how they follow one another. A new key signs as soon as it
// is here, so that no cache may serve an older set: caches revalidate each time.
func (s public) jwks(w *response, r *http.Request) error {
	k := s.keySet.Load()
	h := w.Header()
	h.Set("Cache-Control", "public, no-cache")
	h.Set("ETag", k.tag)
	if r.Header.Get("If-None-Match") == k.tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return w.send(http.StatusOK, "application/jwk-set+json", k.jwks)
}

// agents serves GET /agents: the capabilities and the load of the agents, without
// their addresses and without anything about jobs. It does not count as a grant.
func (s public) agents(w *response, r *http.Request) error {
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
	return s.page(w, r, query.Values(), func(a *directory.Agent) ([]byte, error) {
		info := s.board.AgentInfo(a, &need)
		if info == nil {
			return nil, nil
		}
		return encodeInfo(info)
	})
}

// encodeInfo encodes one element. Some capabilities are left out if there are more
// than a page holds.
func encodeInfo(info *api.AgentInfo) ([]byte, error) {
	text, err := json.Marshal(info)
	for err == nil && len(text) > maxElement {
		info.Capabilities = info.Capabilities[:len(info.Capabilities)/2]
		text, err = json.Marshal(info)
	}
	return text, err
}

// maxElement bounds one agent of a list, so that a page has room for any.
const maxElement = api.MaxBody - 2

// page sends listed agents as an array in the order of their names, beginning
// behind the agent that the request names. It leaves out agents for which element
// writes nothing. If more agents follow, the Link header of the response (RFC
// 8288) links to the next page, with the same path and query.
//
// The server keeps nothing between two pages. Agents that are listed or unlisted
// meanwhile may be on a later page or not. If the last agent of the previous page
// is unlisted meanwhile, the request fails with 410.
func (s *Server) page(w *response, r *http.Request, query url.Values, element func(*directory.Agent) ([]byte, error)) error {
	agents, i := s.cfg.Directory.Snapshot(), 0
	if last := r.URL.Query().Get(api.AfterParam); last != "" {
		var ok bool
		if i, ok = agents.Behind(last); !ok {
			return problem(http.StatusGone, api.CodeExpired, "the last agent of the previous page is not listed any more", "start again from the beginning")
		}
	}
	body, last := []byte{'['}, ""
	for ; i < agents.Len(); i++ {
		a := agents.At(i)
		text, err := element(&a)
		if err != nil {
			return err
		}
		if len(text) == 0 {
			continue
		}
		if last != "" && len(body)+len(text)+2 > api.MaxBody {
			query.Set(api.AfterParam, last)
			w.Header().Set("Link", "<"+r.URL.Path+"?"+query.Encode()+`>; rel="next"`)
			break
		}
		if last != "" {
			body = append(body, ',')
		}
		body, last = append(body, text...), a.Fingerprint
	}
	return w.send(http.StatusOK, api.TypeJSON, append(body, ']'))
}
