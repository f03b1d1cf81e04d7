package jobs

import (
	"net/netip"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/grant"
)

// relayLife is a relay that records how long its credentials last.
type relayLife struct {
	owner string
	life  time.Duration
}

func (r *relayLife) ICEServers(_, owner string, life time.Duration) []api.ICEServer {
	r.owner, r.life = owner, life
	return []api.ICEServer{{URLs: []string{"turn:192.0.2.1"}}}
}

// TestCredentialsOutlastTheQueue: a client gets its credentials with the grant,
// waits in line, and must still be able to refresh its relay at the session's end.
func TestCredentialsOutlastTheQueue(t *testing.T) {
	r := &relayLife{}
	b := &Board{cfg: Config{Relay: r}}
	const session = 20 * time.Minute
	g := &grant.Grant{JobID: "J", Subject: users.Anyone, SessionSecs: int(session / time.Second)}
	if servers := b.iceServers(g, netip.MustParseAddr("203.0.113.9")); len(servers) == 0 || servers[0].URLs[0] != "turn:192.0.2.1" {
		t.Fatalf("got %+v", servers)
	}
	if want := maxQueued + session; r.life < want {
		t.Errorf("the credentials last %v, a job in line for %v needs %v", r.life, maxQueued, want)
	}
	if r.owner == users.Anyone {
		t.Error("all clients without a token are one owner")
	}
}
