package server

import (
	"net/http"
	"net/url"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
)

// maxElement bounds one agent of a list, so that a page has room for any.
const maxElement = api.MaxBody - 2

// page sends listed agents as an array, in the order of their names: those that
// element writes something for, from the one on that the request names. What does
// not fit into one response is behind the link in its Link header (RFC 8288),
// which asks the same path for the same query.
//
// Nothing is kept between two pages. An agent that comes onto the list meanwhile
// is on a later page or on none, and one that goes off it is missed or not; only
// when that is the one to go on behind, the request fails with 410.
func (s *Server) page(w *response, r *http.Request, query url.Values, element func(*directory.Agent) ([]byte, error)) error {
	agents, i := s.cfg.Directory.Snapshot(), 0
	if last := r.URL.Query().Get(api.AfterParam); last != "" {
		var ok bool
		if i, ok = agents.Behind(last); !ok {
			return problem(http.StatusGone, api.CodeExpired, "the agent behind which the list was to go on is not listed any more", "start again from the beginning")
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
