package remote

import (
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
)

// Explained is the event of the broker's reasons for its choice of candidates, best
// first. It comes once, with the first grant, if the request wants it.
type Explained struct {
	JobID      string
	Candidates []api.Explained
}

func (Explained) event() {}

// explain passes on the reasons for the candidates of the first grant.
func (i *introduction) explain(granted *api.GrantResponse) {
	if !i.need.Explain {
		return
	}
	i.need.Explain = false
	if len(granted.Explanation) == 0 {
		i.events.event(Notice{channel.Problem{
			Code: NoticeUnexplained, Message: "the broker gives no reasons for its choice of agents; it may be older than this client",
		}})
		return
	}
	i.events.event(Explained{JobID: granted.JobID, Candidates: granted.Explanation})
}
