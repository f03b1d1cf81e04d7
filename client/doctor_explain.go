package main

import (
	"fmt"
	"time"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/common/signaling"
)

// describe returns the report of a probed way for people.
func (c *doctorConfig) describe(p signaling.Probe, skew time.Duration) console.Way {
	title := map[string]string{signaling.LegDirect: "direct", signaling.LegFront: "front " + p.Way.Via, signaling.LegAMP: "AMP cache " + p.Way.Via}
	w := console.Way{Leg: p.Way.Leg, Via: p.Way.Via, Works: p.Works(), Title: title[p.Way.Leg], Steps: []console.Step{}}
	for _, s := range p.Steps {
		step := console.Step{Step: s.Name, OK: s.Err == nil, Detail: s.Detail, MS: s.Took.Milliseconds()}
		switch {
		case s.Err != nil:
			step.Detail, step.Hint = s.Err.Error(), s.Advice(p.Way, c.Reach.Proxy)
			if s.Name == signaling.StepClock {
				step.Detail, step.Hint = skewText(skew), "set this machine's clock, because valid keys and tokens look expired"
			}
		case s.Name == signaling.StepKeys:
			step.Detail = "it publishes the keys that verify grants"
		case s.Name == signaling.StepClock:
			step.Detail = "it agrees with this machine's"
			if skew != 0 {
				step.Detail = skewText(skew)
			}
		}
		w.Steps = append(w.Steps, step)
	}
	return w
}

func skewText(ahead time.Duration) string {
	which := "behind"
	if ahead < 0 {
		which = "ahead of"
	}
	return fmt.Sprintf("this machine's is %v %s it", ahead.Abs().Round(time.Second), which)
}
