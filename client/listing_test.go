package main

import (
	"encoding/json"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/common/api"
)

// farmOf returns idle agents with these names.
func farmOf(names ...string) []api.AgentInfo {
	var farm []api.AgentInfo
	for _, name := range names {
		farm = append(farm, api.AgentInfo{
			Fingerprint: "SHA256:" + name, Name: name, State: api.AgentIdle,
			TotalCores: 8, FreeCores: 8, TotalMemMB: 16384, FreeMemMB: 16384,
		})
	}
	return farm
}

// setAgents is the script command "set-agents FILE": the broker lists the agents in the
// JSON file.
func setAgents(ts *testscript.TestScript, neg bool, args []string) {
	b := *ts.Value(brokerKey{}).(**fakefarm.Broker)
	if neg || len(args) != 1 || b == nil {
		ts.Fatalf("usage: set-agents FILE, after start-broker")
	}
	var farm []api.AgentInfo
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &farm))
	b.Set(func(s *fakefarm.Settings) { s.Farm = farm })
}

// checkQuery is the script command "check-query QUERY": the last list of agents must
// have been requested with it.
func checkQuery(ts *testscript.TestScript, neg bool, args []string) {
	b := *ts.Value(brokerKey{}).(**fakefarm.Broker)
	if neg || len(args) != 1 || b == nil {
		ts.Fatalf("usage: check-query QUERY, after start-broker")
	}
	last := "never"
	for _, query := range b.Queries() {
		if !strings.HasPrefix(query, api.AfterParam+"=") {
			last = query
		}
	}
	if last != args[0] {
		ts.Fatalf("the broker got the queries %q", b.Queries())
	}
}
