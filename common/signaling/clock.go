package signaling

import (
	"net/http"
	"sync/atomic"
	"time"
)

// MaxSkew is the difference between this machine's clock and the broker's from
// which errors about lifetimes should name it.
const MaxSkew = 30 * time.Second

// clock learns the broker's time from the Date header (RFC 9110, section
// 6.6.1) of its responses, to a second or so: enough to judge lifetimes of
// half a minute on a machine whose own clock is wrong.
type clock struct {
	offset atomic.Int64 // the broker's time minus this machine's, in nanoseconds
}

func (c *clock) learn(h http.Header, sent, received time.Time, waited bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	// The header has whole seconds, rounded down. The broker wrote it after the
	// wait, or without one about half way through the exchange.
	at := received
	if !waited {
		at = sent.Add(received.Sub(sent) / 2)
	}
	c.offset.Store(int64(date.Add(time.Second / 2).Sub(at)))
}

// Now returns the time by the broker's clock, and before the first response by
// this machine's.
func (c *Client) Now() time.Time { return time.Now().Add(c.Skew()) }

// Skew returns the broker's time minus this machine's.
func (c *Client) Skew() time.Duration {
	skew := time.Duration(c.clock.offset.Load())
	if skew.Abs() <= time.Second {
		return 0 // within the header's precision
	}
	return skew
}
