package jobs

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkMatch is a closed loop: every client offers as soon as it has its
// answer, every agent polls as soon as it has answered. One op is one match.
func BenchmarkMatch(b *testing.B) {
	for _, size := range []struct{ agents, clients int }{{64, 32}, {512, 256}, {2000, 1000}} {
		b.Run(fmt.Sprintf("agents=%d/clients=%d", size.agents, size.clients), func(b *testing.B) {
			// Nothing is forgotten within the few seconds that this takes.
			r := newRigOf(b, size.agents, Config{MaxJobs: math.MaxInt64, MaxBytes: math.MaxInt64})
			defer r.Close()
			ctx, cancel := context.WithCancel(b.Context())
			body := make([]byte, 2048)
			var agents, clients sync.WaitGroup
			for i := range size.agents {
				agents.Go(func() {
					p := poll(fmt.Sprint("agent", i), 25*time.Second)
					for {
						as, err := r.Park(ctx, p)
						if err != nil {
							return
						}
						if as != nil && r.Answer(r.nameOf(as), p.Agent, body) != nil {
							b.Error("an answer was refused")
						}
					}
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			var n atomic.Int64
			for i := range size.clients {
				clients.Go(func() {
					candidates := make([]string, 4)
					for {
						k := n.Add(1)
						if k > int64(b.N) {
							return
						}
						c := make([]string, len(candidates))
						for x := range c {
							c[x] = fmt.Sprint("agent", (int(k)*7+i+x)%size.agents)
						}
						o := offer(fmt.Sprint(k), 25*time.Second, c...)
						o.Body = body
						if _, err := r.Offer(ctx, o); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			clients.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "matches/s")
			cancel()
			agents.Wait()
		})
	}
}
