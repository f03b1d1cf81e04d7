package quota

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits are those of one user. A field that is 0 is not set, and [Limits.Or] fills
// it in; [Unlimited] means no limit.
type Limits struct {
	// Jobs is how many jobs may be under way at once: offers that wait for an
	// agent count, and so do jobs that an agent works on.
	Jobs int
	// Grants is how many grants a minute may be requested.
	Grants int
	// Sessions is how much time on agents a day (UTC) may be used.
	Sessions time.Duration
}

// Unlimited is the value that means no limit.
const Unlimited = -1

// Or returns l with the fields that are not set taken from fallback.
func (l Limits) Or(fallback Limits) Limits {
	if l.Jobs == 0 {
		l.Jobs = fallback.Jobs
	}
	if l.Grants == 0 {
		l.Grants = fallback.Grants
	}
	if l.Sessions == 0 {
		l.Sessions = fallback.Sessions
	}
	return l
}

// Set parses one limit as flags and the users file write it: jobs=N, grants=N (a
// minute) or sessions=DURATION (a day), where 0 means no limit.
func (l *Limits) Set(name, value string) error {
	switch name {
	case "jobs":
		return setCount(&l.Jobs, name, value)
	case "grants":
		return setCount(&l.Grants, name, value)
	case "sessions":
		d, err := time.ParseDuration(value)
		switch {
		case err != nil || d < 0 || d > 24*time.Hour || d%time.Second != 0:
			return fmt.Errorf("sessions: %q is not a time a day in whole seconds, such as 4h, and not 0 for no limit", value)
		case d == 0:
			d = Unlimited
		}
		l.Sessions = d
		return nil
	default:
		return fmt.Errorf("%q is not a limit; there are jobs, grants and sessions", name)
	}
}

func setCount(at *int, name, value string) error {
	n, err := strconv.ParseUint(value, 10, 20)
	if err != nil {
		return fmt.Errorf("%s: %q is not a number up to 1048575, or 0 for no limit", name, value)
	}
	if *at = int(n); n == 0 {
		*at = Unlimited
	}
	return nil
}

// String returns the limits that are set, in the form that Set reads.
func (l Limits) String() string {
	var words []string
	add := func(name string, set bool, value string) {
		if set {
			words = append(words, name+"="+value)
		}
	}
	add("jobs", l.Jobs != 0, strconv.Itoa(max(l.Jobs, 0)))
	add("grants", l.Grants != 0, strconv.Itoa(max(l.Grants, 0)))
	add("sessions", l.Sessions != 0, ShortDuration(max(l.Sessions, 0)))
	return strings.Join(words, " ")
}

// ShortDuration writes 4h where time.Duration writes 4h0m0s.
func ShortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
