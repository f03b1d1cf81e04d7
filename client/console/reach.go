package console

import (
	"strings"
	"unicode/utf8"
)

// The objects about the way to the broker.
type (
	// reachedEvent names the way to the broker that is in use.
	reachedEvent struct {
		Event string `json:"event"` // "rendezvous"
		Leg   string `json:"leg"`
		Via   string `json:"via,omitempty"`
	}
	// Way is the result of client doctor for one way to the broker.
	Way struct {
		Event string `json:"event"` // "way"
		Leg   string `json:"leg"`
		Via   string `json:"via,omitempty"`
		Works bool   `json:"works"`
		Steps []Step `json:"steps"`

		// Title names the way for people.
		Title string `json:"-"`
	}
	// Step is one step of the test of a way.
	Step struct {
		Step   string `json:"step"`
		OK     bool   `json:"ok"`
		Detail string `json:"detail,omitempty"`
		MS     int64  `json:"ms"`
		Hint   string `json:"hint,omitempty"`
	}
	// Diagnosis is the result of client doctor.
	Diagnosis struct {
		Works bool `json:"works"`
		// Leg and Via name the way that a job would use now.
		Leg string `json:"leg,omitempty"`
		Via string `json:"via,omitempty"`
		// Agents lists the names of the agents that could do a job; Problem says why
		// there are none, or why they are unknown.
		Agents  []string `json:"agents"`
		Problem string   `json:"problem,omitempty"`
	}
)

// Reached names the way to the broker that is in use. People get a line only if it is
// not the plain way.
func (c *Console) Reached(leg, via, text string, plain bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(reachedEvent{"rendezvous", leg, via})
	if !plain {
		c.say("the client reaches the broker %s", text)
	}
}

// Way shows the result for one way on standard output.
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
