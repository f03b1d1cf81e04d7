package api

import (
	"fmt"
	"net/url"

	"github.com/farforge/farforge/common/lexical"
	"github.com/farforge/farforge/common/toolchain"
)

// AgentQuery is what GET /agents may be asked for. The zero value asks for all
// agents.
type AgentQuery struct {
	// Target and Toolchain are what the agents build for and with, as in a
	// [GrantRequest]; one capability has both.
	Target, Toolchain string
	// Tags are what the agents have, all of them.
	Tags []string
}

// Validate reports the first parameter that is out of its form or its range.
func (q *AgentQuery) Validate() error {
	if q.Target != "" && !lexical.Name(q.Target) {
		return fmt.Errorf("target: %q is not a chip name such as esp32c3", q.Target)
	}
	if _, err := toolchain.Parse(q.Toolchain); err != nil {
		return fmt.Errorf("toolchain: %w", err)
	}
	return validTags("tag", q.Tags)
}

// Values is the query as parameters of a URL.
func (q *AgentQuery) Values() url.Values {
	v := url.Values{}
	if q.Target != "" {
		v.Set("target", q.Target)
	}
	if q.Toolchain != "" {
		v.Set("toolchain", q.Toolchain)
	}
	for _, tag := range q.Tags {
		v.Add("tag", tag)
	}
	return v
}

// ParseAgentQuery reads what Values wrote, and validates it. Parameters that it
// does not know are passed over. Its errors name the parameter.
func ParseAgentQuery(v url.Values) (AgentQuery, error) {
	q := AgentQuery{Target: v.Get("target"), Toolchain: v.Get("toolchain"), Tags: v["tag"]}
	for _, once := range []string{"target", "toolchain"} {
		if len(v[once]) > 1 {
			return AgentQuery{}, fmt.Errorf("%s: it is there %d times; one can be asked for", once, len(v[once]))
		}
	}
	if err := q.Validate(); err != nil {
		return AgentQuery{}, err
	}
	return q, nil
}
