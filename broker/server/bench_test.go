package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"encoding/json"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
)

// BenchmarkHTTPMatch is one match over loopback HTTP with keep-alive: a poll,
// an offer with its verified grant, an answer. Client, agent and broker share
// the process, so CPU and allocations are of all three.
func BenchmarkHTTPMatch(b *testing.B) {
	for _, size := range []struct{ agents, clients int }{{64, 32}, {512, 256}} {
		b.Run(fmt.Sprintf("agents=%d/clients=%d", size.agents, size.clients), func(b *testing.B) {
			benchMatch(b, size.agents, size.clients)
		})
	}
}

func benchMatch(b *testing.B, agents, clients int) {
	w := newWorld(b)
	one := w.newAgent("bench")
	for i := range agents {
		w.agents = append(w.agents, identity.Authorized{Name: fmt.Sprint(i), Fingerprint: benchFingerprint(i), Key: one.key.Public()})
	}
	br := w.start()
	w.http.Transport.(*http.Transport).MaxIdleConnsPerHost = agents + clients
	status, err := json.Marshal(idleStatus())
	if err != nil {
		b.Fatal(err)
	}
	sdp := bytes.Repeat([]byte("a=candidate 2 KB of SDP "), 86)
	do := func(path, token string, mediaType string, body []byte) (int, []byte) {
		req, err := http.NewRequest("POST", br.url+path, bytes.NewReader(body))
		if err != nil {
			b.Error(err)
			return 0, nil
		}
		req.Header.Set("Content-Type", mediaType)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := w.http.Do(req)
		if err != nil {
			return 0, nil
		}
		defer resp.Body.Close()
		data, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, data
	}
	var agentsDone, clientsDone sync.WaitGroup
	var stop atomic.Bool
	for i := range agents {
		session, err := br.srv.sessions.session(benchFingerprint(i), time.Now().Add(time.Hour))
		if err != nil {
			b.Fatal(err)
		}
		agentsDone.Go(func() {
			for !stop.Load() {
				code, data := do(api.PathAgentPoll, session, api.TypeJSON, status)
				var job api.Job
				if code != 200 || json.Unmarshal(data, &job) != nil {
					continue
				}
				if code, data := do(pathOf(api.PathAnswer, job.JobID), session, api.TypeOpaque, sdp); code != 204 {
					b.Errorf("answer: %d %s", code, data)
				}
			}
		})
	}
	br.until("all agents are parked", func() bool { return br.srv.meet.Stats().Parked == int64(agents) })
	tokens := make([]string, b.N)
	for i := range tokens {
		tokens[i] = w.signGrant(func(g *grant.Grant) {
			g.JobID, g.Agents = fmt.Sprint(i), nil
			g.ExpiresAt = time.Now().Add(time.Hour)
			for k := range 4 {
				g.Agents = append(g.Agents, benchFingerprint((i*7+k)%agents))
			}
		})
	}
	var next atomic.Int64
	before := cpu()
	b.ReportAllocs()
	b.ResetTimer()
	for range clients {
		clientsDone.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				if code, data := do(pathOf(api.PathOffer, fmt.Sprint(i)), tokens[i], api.TypeOpaque, sdp); code != 200 {
					b.Errorf("offer: %d %s", code, data)
				}
			}
		})
	}
	clientsDone.Wait()
	b.StopTimer()
	b.ReportMetric((cpu()-before).Seconds()/float64(b.N)*1000, "CPU-s/1000-matches")
	stop.Store(true)
	br.drain()
	agentsDone.Wait()
	w.http.CloseIdleConnections()
}

func benchFingerprint(i int) string { return fmt.Sprintf("SHA256:%042dA", i) }

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
