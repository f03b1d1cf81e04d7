package scheduler

import (
	"slices"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/nat"
)

// Meets reports whether an agent, alive or not, can build what the need names and
// has the tags. Its size is ignored.
func Meets(a *directory.Agent, n *Need) bool {
	if a.Status == nil { // it has never polled: what it builds is unknown
		unpolled := *a
		unpolled.Status = &api.Status{}
		a = &unpolled
	}
	return meets(a, n) == able
}

// Info returns what users may know about an agent: its status, made printable,
// with three exceptions. Free capacity is that of the account: what the status
// says, less what was promised since; it is zero while the agent is offline or
// draining, as no job can get it. Running jobs include claimed jobs that the
// status does not list yet. Capabilities that the operator does not allow are
// left out.
func (f *Farm) Info(a *directory.Agent, o *Options) api.AgentInfo {
	info := api.AgentInfo{Fingerprint: a.Fingerprint, Name: printable(a.Name), State: api.AgentOffline, Tags: a.Tags}
	if !a.LastSeen.IsZero() {
		seen := a.LastSeen.UTC().Truncate(time.Second)
		info.LastSeen = &seen
	}
	if a.Status == nil {
		return info
	}
	info.Version, info.NAT = printable(a.Status.Version), nat.Parse(a.Status.NAT).String()
	info.SoftLimits = a.Status.SoftLimits
	info.TotalCores, info.TotalMemMB = a.Status.TotalCores, a.Status.TotalMemMB
	for _, c := range a.Status.Capabilities {
		if a.MayBuild(c.Target) {
			c.Version = printable(c.Version)
			info.Capabilities = append(info.Capabilities, c)
		}
	}
	if !a.Alive(o.Now, o.Grace) {
		return info
	}
	account := a.Account.At(o.Now)
	free := account.Free()
	info.FreeCores, info.FreeMemMB = free.Cores, free.MemoryMB
	info.RunningJobs = len(a.Status.RunningJobs)
	for _, r := range account.Held() {
		if !slices.Contains(a.Status.RunningJobs, r.Job) {
			info.RunningJobs++
		}
	}
	m := f.member(a.Fingerprint)
	switch {
	case a.Status.Draining:
		info.State, info.FreeCores, info.FreeMemMB = api.AgentDraining, 0, 0
	case m != nil && m.skill.Load().rel.resting(m.salt, len(account.Held()), o.Now.UnixNano()):
		info.State = api.AgentResting
	case info.RunningJobs > 0:
		info.State = api.AgentBusy
	default:
		info.State = api.AgentIdle
	}
	return info
}
