package scheduler

import (
	"slices"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// testFarm is a farm that observes a directory. Tests play the agents.
type testFarm struct {
	*Farm
	dir    *directory.Directory
	listed []identity.Authorized
	polls  map[string]directory.Poll // the parked ones, by fingerprint
}

func newTestFarm() *testFarm {
	f := &testFarm{Farm: NewFarm(nil), dir: directory.New(nil), polls: map[string]directory.Poll{}}
	f.dir.Observe(f.Farm)
	return f
}

func farmOf(agents ...directory.Agent) *testFarm {
	f := newTestFarm()
	f.list(agents...)
	for _, a := range agents {
		f.set(a, now)
	}
	return f
}

// list adds agents to the operator's list, or changes their lines.
func (f *testFarm) list(agents ...directory.Agent) {
	changed := map[string]bool{}
	for _, a := range agents {
		changed[a.Fingerprint] = true
	}
	f.listed = slices.DeleteFunc(f.listed, func(l identity.Authorized) bool { return changed[l.Fingerprint] })
	for _, a := range agents {
		f.listed = append(f.listed, identity.Authorized{Fingerprint: a.Fingerprint, Name: a.Name, Targets: a.Targets, Tags: a.Tags})
	}
	f.dir.Replace(f.listed)
}

// unlist takes an agent off the operator's list.
func (f *testFarm) unlist(fingerprint string) {
	f.listed = slices.DeleteFunc(f.listed, func(l identity.Authorized) bool { return l.Fingerprint == fingerprint })
	f.dir.Replace(f.listed)
}

// set brings a listed agent into the state that a describes.
func (f *testFarm) set(a directory.Agent, at time.Time) {
	if p, ok := f.polls[a.Fingerprint]; ok {
		p.End(at)
		delete(f.polls, a.Fingerprint)
	}
	if a.Status == nil {
		return
	}
	_ = f.dir.Update(a.Fingerprint, a.Status, a.LastSeen)
	if !a.Parked && !a.Vanished {
		return
	}
	p, _ := f.dir.Park(a.Fingerprint)
	if a.Parked {
		f.polls[a.Fingerprint] = p
		return
	}
	p.End(a.LastSeen)
	p.Break()
}

// info returns what users may know about an agent.
func (f *testFarm) info(fingerprint string, o *Options) api.AgentInfo {
	a, _ := f.dir.Agent(fingerprint)
	return f.Info(&a, o)
}
