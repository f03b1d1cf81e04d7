package simulator

import "time"

// Clock is the time a simulated chip lives in. It exists for tests that want
// to steer time; inside a testing/synctest bubble the default clock is already
// the bubble's. Implementations must be safe for concurrent use.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// After returns a channel that gets the time once d has passed.
	After(d time.Duration) <-chan time.Time
}

// wallClock is the machine's own time.
type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
