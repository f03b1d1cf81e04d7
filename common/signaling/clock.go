package signaling

import (
	"net/http"
	"sync/atomic"
	"time"
)

// MaxSkew is how far this machine's clock may be off the broker's before
// errors about lifetimes should name that.
const MaxSkew = 30 * time.Second

// clock learns the broker's time from the Date header (RFC 9110, section
// 6.6.1) of its responses, to a second or so: enough to judge lifetimes of
// half a minute on a machine whose own clock is wrong.
type clock struct {
	offset atomic.Int64 // nanoseconds by which the broker is ahead
}

func (c *clock) learn(h http.Header, sent, received time.Time, waited bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	// The header has whole seconds, rounded down. It was written after the
	// wait, and else about half way through the exchange.
	at := received
	if !waited {
		at = sent.Add(received.Sub(sent) / 2)
	}
	c.offset.Store(int64(date.Add(time.Second / 2).Sub(at)))
}

// Now returns the time by the broker's clock, as far as it is known, and by
// this machine's before the first response.
func (c *Client) Now() time.Time { return time.Now().Add(c.Skew()) }

// Skew returns by how much the broker's clock is ahead of this machine's.
func (c *Client) Skew() time.Duration {
	skew := time.Duration(c.clock.offset.Load())
	if skew.Abs() <= time.Second {
		return 0 // less than the header can tell
	}
	return skew
}
