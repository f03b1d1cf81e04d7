package jobs

import (
	"net/netip"
	"slices"
	"time"

	"github.com/farforge/farforge/broker/internal/tables"
	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
)

// accusationGap is the time in which the complaints of one user about an agent
// count at most once for other users. A client that cannot be reached, or wants an
// agent out of the way, would otherwise keep it from all users.
const accusationGap = 10 * time.Minute

// opinions are the complaints of users about agents. For the next jobs of the same
// user each complaint counts at once: a user who retries gets another agent, and a
// false complaint affects no other user.
type opinions struct {
	// accused is when a complaint last counted for other users.
	accused *tables.Recent[opinion, time.Time]
	// shunned is the time of the last complaint; zero: it counts no more.
	shunned *tables.Recent[opinion, time.Time]
}

// opinion is that of one user, or of one address, about one agent: about one
// project if the agent has refused to build it, else about all.
type opinion struct{ by, agent, project string }

func newOpinions() opinions {
	return opinions{accused: tables.NewRecent[opinion, time.Time](1 << 13), shunned: tables.NewRecent[opinion, time.Time](1 << 13)}
}

// opinionOf returns the holder of an opinion: the user or, for users without names,
// the address.
func opinionOf(user string, from netip.Addr) string {
	if user == users.Anyone {
		return user + " " + from.String()
	}
	return user
}

// mayAccuse reports whether a complaint counts for others, and if so that the next
// one does not.
func (o *opinions) mayAccuse(user, agent string, now time.Time) bool {
	return o.accused.Replace(opinion{by: user, agent: agent}, now, func(last time.Time) bool { return now.Sub(last) >= accusationGap })
}

// note records how a job for the project ended for a user. An agent that has
// refused the project, for which it may have no recipe, is not the first choice for
// the same project; it may be for another.
func (o *opinions) note(who, agent, project string, outcome api.Outcome, now time.Time) {
	key := opinion{by: who, agent: agent}
	switch outcome {
	case api.OutcomeRefused:
		o.shunned.Put(opinion{who, agent, project}, now)
	case api.OutcomeAgentFailed, api.OutcomeLost:
		o.shunned.Put(key, now)
	case api.OutcomeSucceeded:
		if _, ok := o.shunned.Get(key); ok {
			o.shunned.Put(key, time.Time{})
		}
	}
}

func (o *opinions) shuns(about opinion, now time.Time) bool {
	at, ok := o.shunned.Get(about)
	return ok && now.Sub(at) < accusationGap
}

// reorder puts agents that have failed the user lately behind the others, as long
// as one of the others is free and in order.
func (o *opinions) reorder(ranked []scheduler.Ranked, who, project string, now time.Time) {
	free := false
	for i := range ranked {
		r := &ranked[i]
		r.Shunned = o.shuns(opinion{by: who, agent: r.Fingerprint}, now) || project != "" && o.shuns(opinion{who, r.Fingerprint, project}, now)
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
