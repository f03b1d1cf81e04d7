package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
)

// limitTo returns a club whose users have these limits.
func limitTo(t *testing.T, l quota.Limits) (c *club, accounts *quota.Accounts) {
	t.Helper()
	c = newClub(t)
	accounts = quota.NewAccounts(l)
	c.adjust = func(cfg *Config) { cfg.Users, cfg.Accounts = c.reg, accounts }
	return c, accounts
}

// underWay counts the jobs of the user that have room: one less than the limit with
// which another would have room, too.
func underWay(accounts *quota.Accounts, user string) (jobs int) {
	for accounts.Grant(user, quota.Limits{Jobs: jobs + 1, Sessions: quota.Unlimited}, 0, time.Now()) != nil {
		jobs++
	}
	return jobs
}

func TestJobsAtOnceOverHTTP(t *testing.T) {
	c, accounts := limitTo(t, quota.Limits{Jobs: 2})
	alice, bob := c.key(users.Add{Name: "alice"}), c.key(users.Add{Name: "bob"})
	b := c.open()
	room := func(user string, want int) {
		t.Helper()
		b.until(fmt.Sprint(want, " jobs of ", user, " have room"), func() bool { return underWay(accounts, user) == want })
	}

	// Grants alone take no room; offers do, and no more than there is.
	var grants []api.GrantResponse
	for range 4 {
		grants = append(grants, b.granted(alice))
	}
	as[api.Waiting](t, <-b.offer(t.Context(), grants[0], "?wait=0"), 202)
	as[api.Waiting](t, <-b.offer(t.Context(), grants[1], "?wait=0"), 202)
	p := wantProblem(t, <-b.offer(t.Context(), grants[2], "?wait=0"), 429, api.CodeQuota)
	if !strings.Contains(p.Detail, "2 jobs under way, and 2 at once is your limit") || p.RetryAfter == 0 || !strings.Contains(p.Hints[0], "retry when one has ended") {
		t.Errorf("%+v", p)
	}
	wantProblem(t, b.post(api.PathGrantRequest, alice, grantRequest()), 429, api.CodeQuota)
	as[api.Waiting](t, <-b.offer(t.Context(), grants[1], "?wait=0"), 202) // it has its room

	// Another offer under a grant that is in use is refused and frees nothing.
	wantProblem(t, b.post(pathOf(api.PathOffer, grants[0].JobID)+"?wait=0", grants[0].Grant, []byte("another offer")), 409, api.CodeAlreadyOffered)
	room("key:alice", 2)

	// Alice's jobs do not limit bob.
	other := b.granted(bob)
	as[api.Waiting](t, <-b.offer(t.Context(), other, "?wait=0"), 202)
	room("key:bob", 1)

	// A job is built to its end; only its report frees the room.
	offer := b.offer(t.Context(), grants[0], "")
	b.until("the offer waits", func() bool { return b.srv.board.Stats().Offering == 1 })
	as[api.Job](t, b.post(api.PathAgentPoll, c.agent.session, idleStatus()), 200)
	as[struct{}](t, b.answer(c.agent, grants[0].JobID), 204)
	wantAnswer(t, offer, c.agent)
	wantProblem(t, <-b.offer(t.Context(), grants[2], "?wait=0"), 429, api.CodeQuota)
	b.report(c.agent, grants[0].JobID, api.OutcomeSucceeded)
	room("key:alice", 1)
	// The client that lost its answer fetches it again, and takes no room.
	wantAnswer(t, b.offer(t.Context(), grants[0], ""), c.agent)
	room("key:alice", 1)
	as[api.Waiting](t, <-b.offer(t.Context(), grants[2], "?wait=0"), 202)
	room("key:alice", 2)
	if n := b.refusals("user_jobs"); n != "3" {
		t.Errorf("%s refusals were counted", n)
	}
}

func TestFailedJobsFreeTheirRoom(t *testing.T) {
	c, accounts := limitTo(t, quota.Limits{Jobs: 1, Sessions: time.Hour})
	adjust := c.adjust
	c.adjust = func(cfg *Config) { adjust(cfg); cfg.AnswerTimeout = 200 * time.Millisecond }
	alice := c.key(users.Add{Name: "alice"})
	b := c.open()
	free := func() {
		t.Helper()
		if jobs := underWay(accounts, "key:alice"); jobs != 0 {
			t.Errorf("%d jobs have room", jobs)
		}
	}
	claim := func() (api.GrantResponse, <-chan reply) {
		t.Helper()
		g := b.granted(alice)
		offer := b.offer(t.Context(), g, "")
		b.until("the offer waits", func() bool { return b.srv.board.Stats().Offering == 1 })
		as[api.Job](t, b.post(api.PathAgentPoll, c.agent.session, idleStatus()), 200)
		return g, offer
	}
	// The agent is silent.
	_, offer := claim()
	wantProblem(t, <-offer, 504, api.CodeNoAnswer)
	free()
	// It fails before its answer.
	g, offer := claim()
	b.report(c.agent, g.JobID, api.OutcomeAgentFailed)
	wantProblem(t, <-offer, 504, api.CodeNoAnswer)
	free()
	// It refuses a job that it has answered.
	g, offer = claim()
	as[struct{}](t, b.answer(c.agent, g.JobID), 204)
	wantAnswer(t, offer, c.agent)
	b.report(c.agent, g.JobID, api.OutcomeRefused)
	free()
	// It refuses before its answer; the job waits, and keeps its room.
	g, offer = claim()
	b.report(c.agent, g.JobID, api.OutcomeRefused)
	as[api.Job](t, b.post(api.PathAgentPoll, c.agent.session, idleStatus()), 200)
	if jobs := underWay(accounts, "key:alice"); jobs != 1 {
		t.Errorf("%d jobs have room", jobs)
	}
	as[struct{}](t, b.answer(c.agent, g.JobID), 204)
	wantAnswer(t, offer, c.agent)
	b.report(c.agent, g.JobID, api.OutcomeBuildFailed)
	free()
}

// TestACrashedAgentFreesItsRoom: the room of a job without a report is free when
// its session must be over.
func TestACrashedAgentFreesItsRoom(t *testing.T) {
	c, _ := limitTo(t, quota.Limits{Jobs: 1})
	alice := c.key(users.Add{Name: "alice"})
	b := c.open()
	need := grantRequest()
	need.TimeoutSecs = 2
	g := as[api.GrantResponse](t, b.post(api.PathGrantRequest, alice, need), 200)
	poll := b.park(t.Context(), c.agent)
	b.meet(g, c.agent, poll)
	// No report ever comes.
	p := wantProblem(t, b.post(api.PathGrantRequest, alice, need), 429, api.CodeQuota)
	if p.RetryAfter < 1 || p.RetryAfter > 2 {
		t.Errorf("retry after %d s of a session of 2 s", p.RetryAfter)
	}
	b.until("the room is free", func() bool { return b.post(api.PathGrantRequest, alice, need).status == 200 })
}

func TestGrantsAMinuteAndTimeADayOverHTTP(t *testing.T) {
	c, _ := limitTo(t, quota.Limits{Grants: 3, Sessions: 90 * time.Second})
	alice := c.key(users.Add{Name: "alice"})
	ci := c.key(users.Add{Name: "ci", Limits: quota.Limits{Grants: quota.Unlimited, Sessions: quota.Unlimited}})
	b := c.open()
	g := b.granted(alice) // for 60 s
	as[api.Waiting](t, <-b.offer(t.Context(), g, "?wait=0"), 202)
	p := wantProblem(t, b.post(api.PathGrantRequest, alice, grantRequest()), 429, api.CodeQuota)
	if !strings.Contains(p.Detail, "1m30s a day") || !strings.Contains(strings.Join(p.Hints, ""), "timeout_secs 30") {
		t.Errorf("%+v", p)
	}
	less := grantRequest()
	less.TimeoutSecs = 30
	as[api.GrantResponse](t, b.post(api.PathGrantRequest, alice, less), 200)
	p = wantProblem(t, b.post(api.PathGrantRequest, alice, less), 429, api.CodeTooFast)
	if !strings.Contains(p.Detail, "more than 3 grants a minute") || p.RetryAfter < 1 || p.RetryAfter > 20 {
		t.Errorf("%+v", p)
	}
	for range 10 {
		b.granted(ci) // a user without limits
	}
	for kind, want := range map[string]string{"user_grants": "1", "user_sessions": "1"} {
		if n := b.refusals(kind); n != want {
			t.Errorf("%s: %q were counted", kind, n)
		}
	}
}

// TestAClientThatHangsUp keeps its room as long as the broker remembers its job.
func TestAClientThatHangsUp(t *testing.T) {
	c, accounts := limitTo(t, quota.Limits{Jobs: 1})
	alice := c.key(users.Add{Name: "alice"})
	b := c.open()
	g := b.granted(alice)
	ctx, hangUp := context.WithCancel(t.Context())
	offer := b.offer(ctx, g, "")
	b.until("the offer waits", func() bool { return b.srv.board.Stats().Offering == 1 })
	hangUp()
	<-offer
	b.until("the broker has ended the request", func() bool { return b.srv.board.Stats().Offering == 0 })
	if _, r := accounts.Take("key:alice", quota.Limits{}, time.Minute, time.Now()); r == nil {
		t.Error("the room was free at once, though the client may return")
	}
	if _, r := accounts.Take("key:alice", quota.Limits{}, time.Minute, time.Now().Add(quota.Memory)); r != nil {
		t.Errorf("the room is not free: %+v", r)
	}
}
