//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/proxy-agent/internal/fakebroker"
)

// What one hostile message of at most 1 MiB may cost the agent.
const (
	bombMemory = 64 << 20
	bombCPU    = 2 * time.Second
)

// repeated reads a text again and again, between a start and an end.
func repeated(start, text string, times int, end string) (int64, io.Reader) {
	const chunk = 1000
	readers := []io.Reader{strings.NewReader(start)}
	long := strings.Repeat(text, chunk)
	for n := times; n > 0; n -= chunk {
		readers = append(readers, strings.NewReader(long[:len(text)*min(n, chunk)]))
	}
	size := int64(len(start) + len(text)*times + len(end))
	return size, io.MultiReader(append(readers, strings.NewReader(end))...)
}

// links is a manifest of symlinks in folders of their own.
func links(count, depth int) (int64, io.Reader) {
	var text strings.Builder
	text.WriteString(`{"files":[`)
	for i := range count {
		if i > 0 {
			text.WriteString(",")
		}
		fmt.Fprintf(&text, `{"path":"%s%d","kind":"link","link":"x"}`, strings.Repeat(fmt.Sprintf("%d/", i%1000), depth), i)
	}
	text.WriteString(`]}`)
	return int64(text.Len()), strings.NewReader(text.String())
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

// bombs are manifests that are small on the wire. Each is refused, or so cheap
// that it may be accepted.
var bombs = map[string]func() (int64, io.Reader){
	"nested":         func() (int64, io.Reader) { return repeated("", "[", 16<<20, "") },
	"nested objects": func() (int64, io.Reader) { return repeated("", `{"files":`, 3<<20, "") },
	"wide":           func() (int64, io.Reader) { return repeated(`{"files":[`, "0,", 15<<20, "0]}") },
	"objects":        func() (int64, io.Reader) { return repeated(`{"files":[`, "{},", 10<<20, "{}]}") },
	"nulls":          func() (int64, io.Reader) { return repeated(`{"files":[`, "null,", 6<<20, "null]}") },
	"long path":      func() (int64, io.Reader) { return repeated(`{"files":[{"path":"`, "a", 30<<20, `"}]}`) },
	"long escapes":   func() (int64, io.Reader) { return repeated(`{"files":[{"path":"`, `\u0001`, 5<<20, `"}]}`) },
	"same member":    func() (int64, io.Reader) { return repeated(`{"files":[{`, `"path":"a",`, 2<<20, `"path":"b"}]}`) },
	"other member":   func() (int64, io.Reader) { return repeated(`{"x":[`, `"",`, 10<<20, `""],"files":[]}`) },
	"wrong type":     func() (int64, io.Reader) { return repeated(``, `7`, 30<<20, ``) },
	"white space":    func() (int64, io.Reader) { return repeated(`{"files":[`, ` `, 30<<20, `]}`) },
	"long list": func() (int64, io.Reader) {
		return repeated(`{"files":[`, `{"path":"`+strings.Repeat("a/", 30)+`x","kind":"file","size":0,"sha256":"`+zeros+`"},`, 150_000, `{}]}`)
	},
	"deep links": func() (int64, io.Reader) { return links(70_000, 450) },
	"links":      func() (int64, io.Reader) { return links(1000, 3) },
}

// TestBombsAreCheap sends the agent messages that are meant to be expensive, and
// reads their cost in /proc.
func TestBombsAreCheap(t *testing.T) {
	f := newFarm(t)
	p := f.start("--sandbox", "none")
	ready := f.broker.Next()
	number := 0
	send := func(t *testing.T, attack func(*fakebroker.Client)) {
		number++
		c := f.broker.NewClient(fmt.Sprint("01", number), func(g *grant.Grant) { g.CPUCores, g.SessionSecs = 1, 600 })
		memory, cpu := cost(t, p.Process.Pid)
		ready.Reply(http.StatusOK, c.Job)
		c.Connect(f.broker)
		c.Request()
		attack(c)
		for {
			ready = f.broker.Next()
			if len(ready.Status.RunningJobs) == 0 {
				break
			}
		}
		c.HangUp()
		r := fakebroker.Receive(t, f.broker.Reports, "report")
		for len(f.workspaces()) > 0 { // removing them is part of the cost
			time.Sleep(10 * time.Millisecond)
		}
		after, cpuAfter := cost(t, p.Process.Pid)
		t.Logf("%s, %d MiB, %v", r.Outcome, (after-memory)>>20, cpuAfter-cpu)
		if !raceEnabled && (after-memory > bombMemory || cpuAfter-cpu > bombCPU) {
			t.Errorf("it cost %d MiB and %v", (after-memory)>>20, cpuAfter-cpu)
		}
	}
	for name, bomb := range bombs {
		t.Run(name, func(t *testing.T) {
			send(t, func(c *fakebroker.Client) {
				size, text := bomb()
				// The agent may hang up in the middle.
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				go func() {
					m := c.Open(channel.LabelSource)
					if channel.WriteObject(ctx, m, channel.ObjectManifest, size, text) == nil {
						_ = channel.ReadObject(ctx, m, channel.ObjectNeed, 1<<20, func(int64, io.Reader) error { return nil })
						_ = channel.WriteObject(ctx, m, channel.ObjectContents, 0, strings.NewReader(""))
					}
				}()
				c.Until(channel.TypeResult)
			})
		})
	}
	t.Run("contents", func(t *testing.T) {
		send(t, func(c *fakebroker.Client) {
			m := &channel.Manifest{Files: []channel.File{{Path: "zeros", Kind: channel.KindFile, Size: 4 << 30, SHA256: zeros}}}
			open := func(channel.File) (io.ReadCloser, error) { return endlessZeros{}, nil }
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			go func() { // its hash is wrong, which the agent does not get to see
				_, _ = channel.SendTree(ctx, c.Open(channel.LabelSource), m, open, nil)
			}()
			if r := c.Until(channel.TypeResult).Result; r.Problem == nil || r.Problem.Code != channel.ProblemSizeLimit {
				t.Errorf("result %+v, %+v", r, r.Problem)
			}
		})
	})
	t.Run("control", func(t *testing.T) {
		send(t, func(c *fakebroker.Client) {
			m := c.Open(channel.LabelControl)
			for _, text := range []string{strings.Repeat("[", 60_000), `{"type":"build","build":{"project":[` + strings.Repeat("0,", 30_000) + `0]}}`} {
				for range 20 {
					if err := m.WriteMessage(t.Context(), []byte(text)); err != nil {
						break
					}
				}
			}
			c.Until(channel.TypeResult)
		})
	})
}

type endlessZeros struct{}

func (endlessZeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
func (endlessZeros) Close() error               { return nil }

// cost returns the most memory that a process has had since the last call, and
// the processor time that it has used.
func cost(t *testing.T, pid int) (memory int64, cpu time.Duration) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	stat, err2 := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	reset := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	if err := errors.Join(err, err2, reset); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			memory = kib << 10
		}
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, field := range fields[11:13] { // user and system time, in hundredths of a second
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		cpu += time.Duration(ticks) * 10 * time.Millisecond
	}
	return memory, cpu
}
