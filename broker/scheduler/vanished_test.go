package scheduler

import (
	"strings"
	"testing"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
)

func vanished(a *directory.Agent) { a.Parked, a.Vanished = false, true }

// TestVanishedAgentsAreNotChosen: if the only able agent has vanished, the error says
// that it may come back.
func TestVanishedAgentsAreNotChosen(t *testing.T) {
	gone, other := with(buildsIDF("gone"), vanished), agent("other", "esp32 arduino 3.0")
	if got := farmOf(gone, buildsIDF("here")).Choose(idf, options(1)); len(got) != 1 || got[0].Name != "here" {
		t.Errorf("chosen: %+v", got)
	}
	for name, tt := range map[string]struct {
		fleet  fleet
		code   api.Code
		detail string
	}{
		"alone":            {fleet{gone}, api.CodeNoAgent, "the only agent that is able to build this has just lost its connection"},
		"the only able":    {fleet{other, gone}, api.CodeNoAgent, "the only agent that is able to build this"},
		"two":              {fleet{gone, gone}, api.CodeNoAgent, "each of the 2 agents"},
		"it is not able":   {fleet{other, with(other, vanished)}, api.CodeNoTarget, "no agent can build for esp32c3"},
		"a long while ago": {fleet{with(gone, lost)}, api.CodeNoAgent, "no agent is online"},
	} {
		if got := farmOf(tt.fleet...).Choose(idf, options(1)); len(got) > 0 {
			t.Errorf("%s: %s was chosen", name, got[0].Name)
		}
		u := Explain(tt.fleet, idf, options(1))
		if u.Code != tt.code || !strings.HasPrefix(u.Detail, tt.detail) || (u.Code == api.CodeNoAgent) != (u.RetryAfter == retrySoon) {
			t.Errorf("%s: %+v", name, u)
		}
	}
}
