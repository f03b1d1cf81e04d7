package console

import (
	"fmt"
	"math"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/farforge/farforge/client/remote"
	"github.com/farforge/farforge/common/api"
)

type explainedEvent struct {
	Event      string          `json:"event"` // "explained"
	JobID      string          `json:"job_id"`
	Candidates []api.Explained `json:"candidates"`
}

// widthBeside returns the width of the terminal on standard error; a pipe has no bound.
func (c *Console) widthBeside() int {
	if f, ok := c.stderr.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return math.MaxInt
}

// explained shows the candidates as a table, best first.
func (c *Console) explained(e remote.Explained) {
	rows := [][]string{{"AGENT", "EXPECTED", "WAIT", "BUILD", "SUCCESS", "LOST", "SPEED", "WARM", "LUCK", ""}}
	for _, x := range e.Candidates {
		rows = append(rows, []string{
			cell(x.Name), span(x.Expected), span(x.Wait), span(x.Duration), fmt.Sprintf("%.0f %%", 100*min(x.Success, 1)), span(x.Lost),
			factor(x.Speed), factor(x.Warmth), factor(x.Luck), strings.Join(remarks(&x.Score), ", "),
		})
	}
	for _, lines := range tableWithin(rows, c.widthBeside(), true, 1, 2, 3, 4, 5, 6, 7, 8) {
		for _, line := range lines {
			c.say("%s", line)
		}
	}
	c.say("EXPECTED is the time to a good result; SPEED, WARM and LUCK are factors in BUILD, below 1 is faster")
}

func remarks(s *api.Score) (all []string) {
	if s.Resting {
		all = append(all, "resting")
	}
	if s.Relay {
		all = append(all, "relay")
	}
	if s.Shunned {
		all = append(all, "shunned")
	}
	return all
}

// span returns seconds as text, with a precision that fits their size.
func span(seconds float64) string {
	switch s := int64(seconds + 0.5); {
	case seconds <= 0:
		return "0 s"
	case seconds < 9.95:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 59.5:
		return fmt.Sprintf("%d s", s)
	case seconds < 3599.5:
		return strings.TrimSuffix(fmt.Sprintf("%d min %d s", s/60, s%60), " 0 s")
	case seconds < 24*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	default:
		return "> 1 day"
	}
}

func factor(f float64) string { return fmt.Sprintf("×%.2f", min(f, 1000)) }
