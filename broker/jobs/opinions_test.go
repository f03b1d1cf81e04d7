package jobs

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
)

// TestReorder tests the order of each kind of candidate.
func TestReorder(t *testing.T) {
	o, now := newOpinions(), time.Unix(1e9, 0)
	ranked := func(names ...string) (all []scheduler.Ranked) {
		for _, name := range names {
			r := scheduler.Ranked{Candidate: api.Candidate{Name: name, Fingerprint: name[:1]}}
			r.Resting = name[1:] == "resting"
			if name[1:] == "busy" {
				r.Wait = 10
			}
			all = append(all, r)
		}
		return all
	}
	o.note("eve", "a", "p", api.OutcomeLost, now)
	o.note("eve", "b", "p", api.OutcomeAgentFailed, now)
	o.note("eve", "b", "p", api.OutcomeSucceeded, now) // works again
	o.note("eve", "c", "p", api.OutcomeBuildFailed, now)
	for _, tt := range []struct {
		name     string
		user     string
		after    time.Duration
		in, want []string
	}{
		{"behind the others", "eve", 0, []string{"a", "b", "c"}, []string{"b", "c", "a"}},
		{"not behind those that rest", "eve", 0, []string{"a", "b", "cresting"}, []string{"b", "a", "cresting"}},
		{"the others rest", "eve", 0, []string{"a", "bresting"}, []string{"a", "bresting"}},
		{"the others are busy", "eve", 0, []string{"a", "bbusy"}, []string{"a", "bbusy"}},
		{"one of the others is", "eve", 0, []string{"a", "bbusy", "c"}, []string{"bbusy", "c", "a"}},
		{"alone", "eve", 0, []string{"a"}, []string{"a"}},
		{"almost over", "eve", accusationGap - 1, []string{"a", "b"}, []string{"b", "a"}},
		{"over", "eve", accusationGap, []string{"a", "b"}, []string{"a", "b"}},
		{"another user", "bob", 0, []string{"a", "b"}, []string{"a", "b"}},
	} {
		got := ranked(tt.in...)
		o.reorder(got, tt.user, "p", now.Add(tt.after))
		var names []string
		for _, r := range got {
			names = append(names, r.Name)
		}
		if !slices.Equal(names, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, names, tt.want)
		}
	}
}

func TestOpinionsBelongToUsers(t *testing.T) {
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if opinionOf("key:eve", here) != opinionOf("key:eve", there) || opinionOf("key:eve", here) == opinionOf("key:bob", here) {
		t.Error("a named user is not known by the name alone")
	}
	if opinionOf(users.Anyone, here) == opinionOf(users.Anyone, there) {
		t.Error("users without names are not known by their addresses")
	}
}

// TestARefusedProjectGoesToAnotherAgent: an agent that has no recipe for one
// project is still the first choice for others.
func TestARefusedProjectGoesToAnotherAgent(t *testing.T) {
	o, now := newOpinions(), time.Unix(1e9, 0)
	o.note("eve", "a", "p", api.OutcomeRefused, now)
	for _, tt := range []struct{ user, project, first string }{
		{"eve", "p", "b"}, {"eve", "q", "a"}, {"eve", "", "a"}, {"bob", "p", "a"},
	} {
		ranked := []scheduler.Ranked{{Candidate: api.Candidate{Fingerprint: "a"}}, {Candidate: api.Candidate{Fingerprint: "b"}}}
		o.reorder(ranked, tt.user, tt.project, now.Add(time.Minute))
		if first := ranked[0].Fingerprint; first != tt.first {
			t.Errorf("%s gets %s first for project %q, want %s", tt.user, first, tt.project, tt.first)
		}
	}
}
