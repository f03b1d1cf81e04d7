package relay

import (
	"crypto/hmac"
	"crypto/sha1" // what the TURN REST form has
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/pion/turn/v5"
)

// Credentials returns what a peer of the job presents, good until expires, in
// the TURN REST form that an external server with the same secret accepts too.
func Credentials(secret []byte, jobID string, expires time.Time) (username, password string) {
	username = strconv.FormatInt(expires.Unix(), 10) + ":" + jobID
	return username, passwordOf(secret, username)
}

func passwordOf(secret []byte, username string) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// maxUsername bounds what is looked at: digits, a colon and a job id.
const maxUsername = 64

// open returns the job of a username and the password that goes with it, if it
// has the right form and has not expired.
func open(secret []byte, username string, now time.Time) (jobID, password string, ok bool) {
	if len(username) > maxUsername {
		return "", "", false
	}
	expiry, jobID, found := strings.Cut(username, ":")
	unix, err := strconv.ParseInt(expiry, 10, 64)
	if !found || err != nil || jobID == "" || now.Unix() >= unix {
		return "", "", false
	}
	return jobID, passwordOf(secret, username), true
}

// authenticate implements turn.AuthHandler.
func (s *Server) authenticate(ra *turn.RequestAttributes) (userID string, key []byte, ok bool) {
	jobID, password, ok := open(s.cfg.Secret, ra.Username, s.now())
	if !ok {
		s.metrics.refusals.WithLabelValues("credentials").Inc()
		return "", nil, false
	}
	return jobID, turn.GenerateAuthKey(ra.Username, ra.Realm, password), true
}
