package fakefarm

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/farforge/farforge/common/api"
)

// pageSize bounds the agents in one response, so that clients have to request several
// pages.
const pageSize = 3

// listAgents serves GET /agents: the test's list in pages, for every query.
func (b *Broker) listAgents(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		_, err = api.ParseAgentQuery(query)
	}
	if err != nil {
		b.t.Errorf("list of agents: %v", err)
	}
	from := 0
	if after := query.Get(api.AfterParam); after != "" {
		if _, err := fmt.Sscan(after, &from); err != nil {
			b.t.Errorf("list of agents: %v", err)
		}
	}
	b.mu.Lock()
	b.tokens = append(b.tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	b.queries = append(b.queries, r.URL.RawQuery)
	farm, problem := b.Farm, b.Problem
	b.mu.Unlock()
	if problem != nil {
		refuse(w, problem)
		return
	}
	from = min(from, len(farm))
	to := min(from+pageSize, len(farm))
	if to < len(farm) {
		query.Set(api.AfterParam, fmt.Sprint(to))
		w.Header().Set("Link", "<"+api.PathAgents+"?"+query.Encode()+`>; rel="next"`)
	}
	reply(w, http.StatusOK, append([]api.AgentInfo{}, farm[from:to]...))
}

// Queries returns the queries for lists of agents so far.
func (b *Broker) Queries() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.queries...)
}
