package remote

import (
	"fmt"
	"strconv"
	"time"

	"github.com/farforge/farforge/common/api"
)

// Waiting is the event of a place in line while all able agents are busy.
type Waiting struct {
	// Position is the job's place in line, from 1; 0 is unknown.
	Position int
	// Estimate is the expected time until the job starts; 0 is unknown.
	Estimate time.Duration
}

// maxEstimate bounds an estimate.
const maxEstimate = 30 * 24 * time.Hour

func newWaiting(w *api.Waiting) Waiting {
	secs := min(max(w.EstimateSecs, 0), int(maxEstimate/time.Second))
	return Waiting{Position: max(w.Position, 0), Estimate: time.Duration(secs) * time.Second}
}

// String returns "3rd in line, about 2 min", or the known part of it.
func (w Waiting) String() string {
	if w.Position <= 0 {
		return ""
	}
	text := ordinal(w.Position) + " in line"
	if w.Estimate > 0 {
		text += ", " + about(w.Estimate)
	}
	return text
}

// ordinal returns 1st, 2nd, 3rd, 4th, and 11th, 12th, 13th.
func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

// about returns an estimate in steps that fit its size: "less than a minute",
// "about 2 min", "about 1 h 10 min", "more than a day".
func about(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute"
	}
	switch {
	case d < 10*time.Minute:
		d = d.Round(time.Minute)
	case d < time.Hour:
		d = d.Round(5 * time.Minute)
	case d < 10*time.Hour:
		d = d.Round(10 * time.Minute)
	default:
		d = d.Round(time.Hour)
	}
	hours, minutes := int(d/time.Hour), int(d%time.Hour/time.Minute)
	switch {
	case hours >= 24:
		return "more than a day"
	case hours == 0:
		return fmt.Sprintf("about %d min", minutes)
	case minutes == 0:
		return fmt.Sprintf("about %d h", hours)
	default:
		return fmt.Sprintf("about %d h %d min", hours, minutes)
	}
}
