package relay

import (
	"crypto/hmac"
	"crypto/sha1" // required by the TURN REST form
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/turn/v5"

	"github.com/farforge/farforge/broker/quota"
)

// Credentials returns a username with the name and the expiry, and its password, in the TURN REST form that an external server with the same secret
// accepts, too.
func Credentials(secret []byte, name string, expires time.Time) (username, password string) {
	username = strconv.FormatInt(expires.Unix(), 10) + ":" + name
	return username, passwordOf(secret, username)
}

func passwordOf(secret []byte, username string) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// name returns the name of a job in our own credentials: the job, and a digest of
// its owner, so that the relay can count by owner without a list of jobs.
func name(secret []byte, jobID, owner string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("owner " + owner))
	return jobID + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:12])
}

// maxUsername bounds a username: digits, a colon and a name.
const maxUsername = 64

// party is one end of a job that has authenticated: what its allocations count
// for.
type party struct {
	job, owner string
	remote     netip.AddrPort
}

// open returns the party and password of a username if it has the right form
// and has not expired.
func open(secret []byte, username string, now time.Time) (p party, password string, ok bool) {
	if len(username) > maxUsername {
		return party{}, "", false
	}
	expires, name, found := strings.Cut(username, ":")
	unix, err := strconv.ParseInt(expires, 10, 64)
	p.job, p.owner, ok = strings.Cut(name, ".")
	if !found || err != nil || !ok || p.job == "" || p.owner == "" || now.Unix() >= unix {
		return party{}, "", false
	}
	return p, passwordOf(secret, username), true
}

// String is the user id by which pion knows the party.
func (p party) String() string { return p.owner + " " + p.job + " " + p.remote.String() }

// parseParty reads a user id.
func parseParty(userID string) (p party, err error) {
	words := strings.Split(userID, " ")
	if len(words) != 3 {
		return party{}, fmt.Errorf("%q is not a user id", userID)
	}
	p.owner, p.job = words[0], words[1]
	p.remote, err = netip.ParseAddrPort(words[2])
	return p, err
}

// network returns the network of the party; see quota.Network.
func (p party) network() netip.Prefix { return quota.Network(p.remote.Addr()) }

// authenticate implements turn.AuthHandler.
func (s *Server) authenticate(ra *turn.RequestAttributes) (userID string, key []byte, ok bool) {
	p, password, ok := open(s.cfg.Secret, ra.Username, s.now())
	if p.remote = addrPort(ra.SrcAddr); !ok || !p.remote.IsValid() {
		s.metrics.refusals.WithLabelValues("credentials").Inc()
		return "", nil, false
	}
	return p.String(), turn.GenerateAuthKey(ra.Username, ra.Realm, password), true
}
