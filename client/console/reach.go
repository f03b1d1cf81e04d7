package console

import (
	"strings"
	"unicode/utf8"
)

// The objects of how a broker is reached.
type (
	// reachedEvent tells which way to the broker is in use.
	reachedEvent struct {
		Event string `json:"event"` // "rendezvous"
		Leg   string `json:"leg"`
		Via   string `json:"via,omitempty"`
	}
	// Way is what client doctor found about one way to the broker.
	Way struct {
		Event string `json:"event"` // "way"
		Leg   string `json:"leg"`
		Via   string `json:"via,omitempty"`
		Works bool   `json:"works"`
		Steps []Step `json:"steps"`

		// Title names the way for people.
		Title string `json:"-"`
	}
	// Step is one thing that was tried on a way.
	Step struct {
		Step   string `json:"step"`
		OK     bool   `json:"ok"`
		Detail string `json:"detail,omitempty"`
		MS     int64  `json:"ms"`
		Hint   string `json:"hint,omitempty"`
	}
	// Diagnosis is what client doctor found in all.
	Diagnosis struct {
		Works bool `json:"works"`
		// Leg and Via are what a job would use now.
		Leg string `json:"leg,omitempty"`
		Via string `json:"via,omitempty"`
		// Agents are those that could do a job, by name; Problem says why there
		// are none, or why they are not known.
		Agents  []string `json:"agents"`
		Problem string   `json:"problem,omitempty"`
	}
)

// Reached tells which way to the broker is in use. It is worth a line for people
// only where it is not the plain one.
func (c *Console) Reached(leg, via, text string, plain bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(reachedEvent{"rendezvous", leg, via})
	if !plain {
		c.say("the broker is reached %s", text)
	}
}

// Way shows what was found about one way: results, so to standard output.
func (c *Console) Way(w Way) {
	w.Event = "way"
	verdict := "works"
	if !w.Works {
		verdict = "does not work"
	}
	c.Result("%s: %s", Clean(w.Title, false), verdict)
	for _, s := range w.Steps {
		mark := "ok  "
		if !s.OK {
			mark = "FAIL"
		}
		c.Result("  %s %s", mark, strings.TrimSpace(pad(s.Step, 8)+Clean(s.Detail, false)))
		if s.Hint != "" {
			c.Result("       %s", "hint: "+Clean(s.Hint, false))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(w)
}

func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(n-utf8.RuneCountInString(s), 0))
}
