package server

import (
	"net/netip"
	"slices"
	"time"

	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
)

// What a user has against an agent counts seldom for others, see accusationGap.
// For the user's own next jobs it counts at once, and each time: who tries again
// gets another agent, and who slanders keeps an agent from nobody else.

// asker is who is to have another agent: the user or, where users are not told
// apart, whoever comes from the address.
func asker(user string, at netip.Addr) string {
	if user == users.Anyone {
		return user + " " + at.String()
	}
	return user
}

// shun takes in what an asker has to say of an agent.
func (m *matching) shun(asker, agent string, o api.Outcome, now time.Time) {
	key := asker + "\n" + agent
	switch o {
	case api.OutcomeAgentFailed, api.OutcomeLost:
		m.shunned.renew(key, now, func(time.Time) bool { return true })
	case api.OutcomeSucceeded:
		if _, ok := m.shunned.of(key); ok {
			m.shunned.renew(key, time.Time{}, func(time.Time) bool { return true })
		}
	}
}

// spare puts agents that have failed the asker of late behind the others, as long
// as one of the others is free and in order.
func (m *matching) spare(ranked []scheduler.Ranked, asker string, now time.Time) {
	free := false
	for i := range ranked {
		r := &ranked[i]
		at, ok := m.shunned.of(asker + "\n" + r.Fingerprint)
		r.Shunned = ok && now.Sub(at) < accusationGap
		free = free || r.Wait == 0 && !r.Resting && !r.Shunned
	}
	if !free {
		return
	}
	place := func(r scheduler.Ranked) int {
		switch {
		case r.Resting:
			return 2
		case r.Shunned:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(ranked, func(a, b scheduler.Ranked) int { return place(a) - place(b) })
}
