package remote

import (
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
)

// Explained tells why the broker has chosen the candidates, best first. It comes
// once, with the first grant, if the need asks for it.
type Explained struct {
	JobID      string
	Candidates []api.Explained
}

func (Explained) event() {}

// explain passes on why the candidates of the first grant are what they are. What
// is asked for once need not be asked for again.
func (i *introduction) explain(granted *api.GrantResponse) {
	if !i.need.Explain {
		return
	}
	i.need.Explain = false
	if len(granted.Explanation) == 0 {
		i.events.event(Notice{channel.Problem{
			Code: NoticeUnexplained, Message: "the broker does not say why it chose these agents; it may be older than this client",
		}})
		return
	}
	i.events.event(Explained{JobID: granted.JobID, Candidates: granted.Explanation})
}
