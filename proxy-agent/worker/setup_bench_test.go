//go:build unix

package worker

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/farforge/farforge/common/channel"
)

// BenchmarkSetUp measures how long a client waits from the moment in which the
// agent gets its job until its files are there, when another job has ended just
// before. It reports the median and the 99th percentile; use -benchtime 300x.
func BenchmarkSetUp(b *testing.B) {
	a, start := newAgent(b)
	a.broker.Start()
	start()
	p := a.broker.Next()
	var all []time.Duration
	for i := range b.N {
		c := a.broker.NewClient(fmt.Sprint("01", i), one)
		began := time.Now()
		p.Reply(http.StatusOK, c.Job)
		c.Build(a.broker, "exit 1")
		all = append(all, time.Since(began))
		c.Until(channel.TypeResult)
		go c.HangUp() // the next job does not wait for it
		for {
			p = a.broker.Next()
			if len(p.Status.RunningJobs) == 0 {
				break
			}
		}
		<-a.broker.Reports
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}
