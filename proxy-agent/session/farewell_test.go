//go:build unix

package session

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/grant"
)

// chatter is a build that fills every buffer between agent and client, and then
// ends with 3.
var chatter = map[string]string{"build.sh": "yes '" + strings.Repeat("x", 1000) + "' | head -n 4000; exit 3"}

// TestClientThatStopsReading runs a client that stops reading and sends a second
// build message, which the agent answers with a problem.
func TestClientThatStopsReading(t *testing.T) {
	w := newWorld(t)
	w.host.farewells = farewells{idle: time.Second, most: 5 * time.Second, stopped: time.Second}
	seconds := w.timeToBegin("farforge-silent")
	c := w.connect(t.Context(), allChannels, func(g *grant.Grant) { g.SessionSecs = seconds })
	began := time.Now()
	c.build(map[string]string{"build.sh": "yes '" + strings.Repeat("x", 1000) + "'"})
	c.send(&channel.Message{Type: channel.TypeBuild, Build: &channel.Build{}})
	if e := c.over(); e.Outcome != api.OutcomeTimedOut {
		t.Errorf("ending %+v", e)
	}
	if took, limit := time.Since(began), time.Duration(seconds)*time.Second; took > limit+30*time.Second {
		t.Errorf("a session of %v took %v", limit, took)
	}
}

// TestSlowClientGetsItsResult runs a client that needs more time for the last logs
// than the agent grants to a client that reads nothing.
func TestSlowClientGetsItsResult(t *testing.T) {
	const size, buffered = 4_000_000, 1 << 20
	w := newWorld(t)
	w.host.farewells.idle = 3 * time.Second
	c := w.connect(t.Context(), allChannels)
	c.build(chatter)
	read := 0
	var slow time.Duration // time spent on the last logs
	for {
		began := time.Now()
		msg, err := channel.ReadControl(t.Context(), c.control)
		if err != nil {
			t.Fatalf("after %d bytes: %v", read, err)
		}
		if msg.Type == channel.TypeResult {
			if msg.Result.ExitCode != 3 {
				t.Errorf("result %+v", msg.Result)
			}
			break
		}
		if msg.Type != channel.TypeLog {
			continue
		}
		for _, line := range msg.Log.Lines {
			read += len(line) + 1
		}
		if read > size-2*buffered && read < size-buffered {
			time.Sleep(50 * time.Millisecond)
			slow += time.Since(began)
		}
	}
	if slow < w.host.farewells.idle {
		t.Errorf("this test reads slowly for %v only", slow)
	}
	c.conn.Close()
}

// TestMisbehaviorAfterTheBuildIsNoRefusal takes the firmware and then sends
// malformed messages, to avoid being charged for the build.
func TestMisbehaviorAfterTheBuildIsNoRefusal(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t.Context(), allChannels)
	c.build(map[string]string{"build.sh": "mkdir $1; echo made > $1/app.bin"})
	for range 3 {
		c.next(channel.TypeStage)
	}
	m := c.open(channel.LabelFirmware)
	// A download without its last message, so that the agent still waits.
	read := func(kind channel.ObjectKind) {
		t.Helper()
		for {
			message, err := m.ReadMessage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if message[0] == 'E' {
				return
			}
		}
	}
	read(channel.ObjectManifest)
	if err := channel.WriteObject(t.Context(), m, channel.ObjectNeed, 2, strings.NewReader("[]")); err != nil {
		t.Fatal(err)
	}
	read(channel.ObjectContents)
	for range maxMalformed + 1 {
		if err := c.control.WriteMessage(t.Context(), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	r, ending := c.result()
	if r.Outcome != api.OutcomeCanceled || ending.Outcome != api.OutcomeCanceled {
		t.Errorf("result %+v, ending %+v", r, ending)
	}
}

func TestEndedSaysWhoseFaultItIs(t *testing.T) {
	for _, c := range []struct {
		err           error
		before, after api.Outcome
	}{
		{&channel.Problem{Code: channel.ProblemMalformed}, api.OutcomeRefused, api.OutcomeCanceled},
		{&channel.Problem{Code: channel.ProblemUngranted}, api.OutcomeRefused, api.OutcomeCanceled},
		{&channel.Problem{Code: channel.ProblemSizeLimit}, api.OutcomeRefused, api.OutcomeBuildFailed},
		{&channel.Problem{Code: channel.ProblemBuildFailed}, api.OutcomeBuildFailed, api.OutcomeBuildFailed},
		{&channel.Problem{Code: channel.ProblemTimeLimit}, api.OutcomeTimedOut, api.OutcomeTimedOut},
		{errors.New("disk"), api.OutcomeAgentFailed, api.OutcomeAgentFailed},
	} {
		e := ended(t.Context(), c.err)
		if e.Outcome != c.before {
			t.Errorf("%v: %s, want %s", c.err, e.Outcome, c.before)
		}
		if e.afterBuild(); e.Outcome != c.after {
			t.Errorf("%v after the build: %s, want %s", c.err, e.Outcome, c.after)
		}
	}
}
