//go:build unix

package worker

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/proxy-agent/internal/fakebroker"
)

// TestLowDiskMeansNoRoom fills the disk, offers a job, and makes room again.
func TestLowDiskMeansNoRoom(t *testing.T) {
	var low atomic.Bool
	a, start := newAgent(t, func(c *Config) {
		c.DiskLow = func() error {
			if low.Load() {
				return errors.New("12 MiB of disk are free")
			}
			return nil
		}
	})
	a.broker.Start()
	start()
	p := a.broker.Next()
	if p.Status.FreeCores != 4 {
		t.Errorf("status %+v", p.Status)
	}
	low.Store(true)
	p = a.broker.Next()
	if p.Status.FreeCores != 0 {
		t.Errorf("with a low disk: status %+v", p.Status)
	}
	p.Reply(http.StatusOK, a.broker.NewClient("01A", one).Job)
	if r := fakebroker.Receive(t, a.broker.Reports, "report"); r.Outcome != api.OutcomeRefused {
		t.Errorf("report %+v", r)
	}
	a.log.await(t, "12 MiB of disk are free")
	low.Store(false)
	for a.broker.Next().Status.FreeCores != 4 {
	}
}
