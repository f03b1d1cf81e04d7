package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/signaling"
)

// Clock is the broker's time as this machine knows it; *signaling.Client is
// one. Grants are judged by it, because their times are the broker's, and the
// clock of a build machine may be wrong. A broker that lies about its time affects
// only grants that it signs itself.
type Clock interface {
	Now() time.Time
	// Skew returns how far the broker's clock is ahead of this machine's.
	Skew() time.Duration
}

type localClock struct{}

func (localClock) Now() time.Time      { return time.Now() }
func (localClock) Skew() time.Duration { return 0 }

// checkClock warns the operator once of a wrong clock.
func (h *Host) checkClock() {
	if skew := h.Clock.Skew(); skew.Abs() > signaling.MaxSkew {
		h.warnSkew.Do(func() {
			h.Logger.Warn("the clocks differ; grants are judged by the broker's", "this_machine", describeSkew(skew))
		})
	}
}

// blameClock mentions the clocks in an error about times, if they differ.
func (h *Host) blameClock(err error) error {
	skew := h.Clock.Skew()
	if skew.Abs() <= signaling.MaxSkew || !(errors.Is(err, grant.ErrExpired) || errors.Is(err, grant.ErrNotYetValid)) {
		return err
	}
	return fmt.Errorf("%w; the clock of this machine is %s: set it right, for example by NTP", err, describeSkew(skew))
}

func describeSkew(skew time.Duration) string {
	if skew > 0 {
		return fmt.Sprintf("%v behind the broker's", skew.Round(time.Second))
	}
	return fmt.Sprintf("%v ahead of the broker's", -skew.Round(time.Second))
}
