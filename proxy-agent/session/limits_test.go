//go:build unix

package session

import (
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/proxy-agent/build"
)

// TestBandwidthOfARealConnection sends an incompressible megabyte there and back,
// at four megabits a second each way. It checks the least time; a slow machine takes
// longer.
func TestBandwidthOfARealConnection(t *testing.T) {
	const size, bytesPerSecond = 1_000_000, 500_000
	const least = (size - 2*channel.MaxMessage) * time.Second / bytesPerSecond // less the burst
	noise := make([]byte, size)
	rand.Read(noise)
	files := map[string]string{"build.sh": "mkdir $1; cp noise $1/app.bin", "noise": string(noise)}
	w := newWorld(t)
	for _, c := range []struct {
		job     string
		kbps    int
		limited bool
	}{{"01FREE", 0, false}, {"01SLOW", bytesPerSecond * 8 / 1000, true}} {
		client := w.connect(t.Context(), allChannels, func(g *grant.Grant) { g.JobID, g.MaxBandwidthKbps = c.job, c.kbps })
		began := time.Now()
		client.build(files) // returns when the agent has received all
		up := time.Since(began)
		client.next(channel.TypeStage)
		client.next(channel.TypeStage)
		client.next(channel.TypeStage)
		began = time.Now()
		client.firmware()
		down := time.Since(began)
		if r, _ := client.result(); r.Outcome != api.OutcomeSucceeded {
			t.Fatalf("%s: result %+v, %+v", c.job, r, r.Problem)
		}
		t.Logf("%s: %v up, %v down", c.job, up, down)
		if c.limited && (up < least || down < least) {
			t.Errorf("%s: %v up, %v down; the grant makes it %v at least", c.job, up, down, least)
		}
		if up > 30*time.Second || down > 30*time.Second {
			t.Errorf("%s: %v up, %v down", c.job, up, down)
		}
	}
}

// TestMessageRateOfARealConnection floods the control channel: the agent keeps
// reading at the granted rate, so it reads the message after the flood late.
func TestMessageRateOfARealConnection(t *testing.T) {
	const rate, flood = 20, 60
	w := newWorld(t)
	c := w.connect(t.Context(), allChannels, func(g *grant.Grant) { g.MaxMessageRate = rate })
	began := time.Now()
	for range flood {
		c.send(&channel.Message{Type: "flood"})
	}
	c.send(&channel.Message{Type: channel.TypeCancel})
	if r, _ := c.result(); r.Outcome != api.OutcomeCanceled {
		t.Errorf("result %+v", r)
	}
	least := (flood + 1 - rate) * time.Second / rate
	if took := time.Since(began); took < least*9/10 || took > least+20*time.Second {
		t.Errorf("%d messages took %v; at %d a second it is %v", flood+1, took, rate, least)
	}
}

// TestBuildsThatTakeTooMuch exceeds the disk, the files and the memory of a job, and
// the size of a project.
func TestBuildsThatTakeTooMuch(t *testing.T) {
	w := newWorld(t)
	w.host.Disk = build.Disk{Bytes: 20 << 20, Files: 500}
	number := 0
	run := func(script string, more map[string]string) *channel.Result {
		t.Helper()
		number++
		c := w.connect(t.Context(), allChannels, func(g *grant.Grant) { g.JobID, g.MemoryMB = fmt.Sprint("01", number), 64 })
		c.send(&channel.Message{Type: channel.TypeBuild, Build: &channel.Build{}})
		files := map[string]string{"build.sh": script}
		maps.Copy(files, more)
		go func() { // the agent may refuse the files
			_, _ = channel.SendTree(t.Context(), c.open(channel.LabelSource), manifestOf(files), func(f channel.File) (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(files[f.Path])), nil
			}, nil)
		}()
		r, _ := c.result()
		if left := w.left(); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
		return r
	}
	for script, says := range map[string]string{
		"while :; do head -c 1000000 /dev/zero >> big; done": "more than its 20 MiB of disk",
		"seq 2000 | xargs touch; sleep 100":                  "more than its 500 files",
	} {
		r := run(script, nil)
		if r.Outcome != api.OutcomeBuildFailed || r.Problem == nil || !strings.Contains(r.Problem.Message, says) {
			t.Errorf("%s: result %+v, %+v", script, r, r.Problem)
		}
	}
	many := map[string]string{}
	for i := range 600 {
		many[fmt.Sprint("file", i)] = ""
	}
	if r := run("true", many); r.Outcome != api.OutcomeRefused || !strings.Contains(r.Problem.Message, "601 files") {
		t.Errorf("a project of 601 files: %+v, %+v", r, r.Problem)
	}
	r := run("head -c 400000000 /dev/zero | tail >/dev/null", nil)
	if r.Outcome != api.OutcomeBuildFailed {
		t.Errorf("memory: %+v, %+v", r, r.Problem)
	}
	if w.host.Sandbox.Soft() == nil && !strings.Contains(r.Problem.Message, "needed more than the 64 MiB of memory") {
		t.Errorf("memory: %+v", r.Problem)
	}
}
