package directory

import (
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
)

// TestAVanishedAgentIsNotAlive plays numbered polls that begin (+), break (!) and end
// (-), and checks after each step whether the agent is alive.
func TestAVanishedAgentIsNotAlive(t *testing.T) {
	for name, tt := range map[string]struct {
		steps string
		alive string // y or n for each step
	}{
		"a poll that ends":                          {"+1 -1", "yy"},
		"a poll that breaks":                        {"+1 !1 -1", "yyn"},
		"it comes back":                             {"+1 !1 -1 +2 -2", "yynyy"},
		"it breaks again":                           {"+1 !1 -1 +2 !2 -2", "yynyyn"},
		"an older poll breaks under a newer one":    {"+1 +2 !1 -1 -2", "yyyyy"},
		"an older poll breaks behind a newer one":   {"+1 +2 -2 !1 -1", "yyyyy"},
		"the newest breaks while an older one ends": {"+1 +2 !2 -2 -1", "yyyyn"},
		"found out when its job is written":         {"+1 -1 !1", "yyn"},
		"found out when it has polled again":        {"+1 -1 +2 !1 -2", "yyyyy"},
	} {
		d, now := New(listed("a")), time.Unix(1000, 0)
		if err := d.Update("SHA256:a", &api.Status{}, now); err != nil {
			t.Fatal(err)
		}
		polls := map[byte]Poll{}
		for i := 0; i < len(tt.steps); i += 3 {
			now = now.Add(time.Second)
			switch what, poll := tt.steps[i], tt.steps[i+1]; what {
			case '+':
				polls[poll], _ = d.Park("SHA256:a")
			case '!':
				polls[poll].Break()
			case '-':
				polls[poll].End(now)
			}
			a, _ := d.Agent("SHA256:a")
			alive, lost := a.Alive(now, time.Second), a.Lost(now, time.Second)
			if want := tt.alive[i/3] == 'y'; alive != want || lost == want {
				t.Errorf("%s: after %q alive is %v, lost %v", name, tt.steps[:i+2], alive, lost)
			}
			if lost && a.Lost(a.LastSeen.Add(2*time.Second), time.Second) {
				t.Errorf("%s: lost forever", name)
			}
			if tt.steps[i] == '-' && !a.LastSeen.Equal(now) {
				t.Errorf("%s: last seen at %v, not %v", name, a.LastSeen, now)
			}
		}
	}
}
