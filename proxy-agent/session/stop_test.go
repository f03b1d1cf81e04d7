//go:build unix

package session

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/grant"
)

// endless is a build that does not end and leaves processes everywhere.
func endless(mark string) map[string]string {
	return map[string]string{"build.sh": `
		mkdir build; chmod 0500 build
		sh -c '(sleep 1000; :) & wait' ` + mark + ` >/dev/null 2>&1 &
		sh -c 'trap "" TERM INT HUP; echo up; while :; do sleep 1; done' ` + mark + ` & wait`}
}

func TestEveryStopEndsAllProcesses(t *testing.T) {
	for _, c := range []struct {
		name    string
		stop    func(c *client, agent context.CancelFunc)
		limited bool // the grant ends soon after the build has begun
		hangUp  bool // the client cannot read a result
		outcome api.Outcome
		code    channel.ProblemCode
	}{
		{name: "the client cancels", outcome: api.OutcomeCanceled, code: channel.ProblemCanceled,
			stop: func(c *client, _ context.CancelFunc) { c.send(&channel.Message{Type: channel.TypeCancel}) }},
		{name: "the client vanishes", outcome: api.OutcomeLost, hangUp: true,
			stop: func(c *client, _ context.CancelFunc) { c.conn.Close() }},
		{name: "the client closes the control channel", outcome: api.OutcomeLost, hangUp: true,
			stop: func(c *client, _ context.CancelFunc) { c.control.Close() }},
		{name: "the time is over", outcome: api.OutcomeTimedOut, code: channel.ProblemTimeLimit,
			stop: func(*client, context.CancelFunc) {}, limited: true},
		{name: "the agent stops", outcome: api.OutcomeAgentFailed, code: channel.ProblemAgentFailure,
			stop: func(_ *client, agent context.CancelFunc) { agent() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			mark := "farforge-session-" + strconv.Itoa(os.Getpid()) + "-" + strings.ReplaceAll(c.name, " ", "-")
			w := newWorld(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			limit := func(*grant.Grant) {}
			if c.limited {
				seconds := w.timeToBegin(mark)
				limit = func(g *grant.Grant) { g.SessionSecs = seconds }
			}
			client := w.connect(ctx, allChannels, limit)
			client.build(endless(mark))
			client.untilLog("up")
			if len(running(t, mark)) == 0 {
				t.Fatal("this test starts nothing that could be left")
			}
			c.stop(client, cancel)
			var ending Ending
			if c.hangUp {
				began := time.Now()
				ending = client.over()
				if waited := time.Since(began); waited > 12*time.Second {
					t.Errorf("it took %v", waited)
				}
			} else {
				var r *channel.Result
				r, ending = client.result()
				if r.Outcome != c.outcome || r.Problem == nil || r.Problem.Code != c.code {
					t.Errorf("result %+v, %+v", r, r.Problem)
				}
			}
			if ending.Outcome != c.outcome {
				t.Errorf("ending %+v", ending)
			}
			if left := running(t, mark); len(left) > 0 {
				t.Errorf("still running:\n%s", strings.Join(left, "\n"))
			}
			if left := w.left(); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// timeToBegin returns a number of seconds in which a build surely begins on this
// machine: many times what a build takes now.
func (w *world) timeToBegin(mark string) int {
	w.t.Helper()
	began := time.Now()
	c := w.connect(w.t.Context(), allChannels, func(g *grant.Grant) { g.JobID = "01BEFORE" })
	c.build(endless(mark))
	c.untilLog("up")
	took := time.Since(began)
	c.send(&channel.Message{Type: channel.TypeCancel})
	c.result()
	return int((2*time.Second + 10*took) / time.Second)
}

func TestCancelBeforeAnythingElse(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t.Context(), allChannels)
	c.send(&channel.Message{Type: channel.TypeCancel})
	if r, e := c.result(); r.Outcome != api.OutcomeCanceled || e.Outcome != api.OutcomeCanceled {
		t.Errorf("result %+v, ending %+v", r, e)
	}
}

func TestFloodOfLogsReachesASlowClient(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t.Context(), allChannels)
	c.build(map[string]string{"build.sh": "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 1"})
	next := 0
	for next < 20000 {
		for _, line := range c.next(channel.TypeLog).Log.Lines {
			if want := "line " + strconv.Itoa(next); line != want {
				t.Fatalf("got %q, want %q", line, want)
			}
			next++
		}
	}
	c.result()
}
