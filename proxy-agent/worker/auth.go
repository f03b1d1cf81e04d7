package worker

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
)

// renewBefore is how long before its end the agent replaces a session, so that it
// does not end during a poll.
const renewBefore = api.MaxWait + 15*time.Second

// auth holds the agent's session with the broker. It is safe for concurrent
// use; one goroutine at a time authenticates and the others wait for it.
type auth struct {
	broker *signaling.Client
	key    *identity.Key
	log    *slog.Logger

	mu      sync.Mutex
	session string
	until   time.Time
}

// token returns the current session. It opens one if there is none.
func (a *auth) token(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.session != "" && time.Now().Before(a.until) {
		return a.session, nil
	}
	s, err := a.broker.Authenticate(ctx, a.key)
	if err != nil {
		return "", err
	}
	// The time is by the broker's clock. A session that seems to have ended is
	// used until the broker refuses it.
	life := max(s.ExpiresAt.Sub(a.broker.Now())-renewBefore, 10*time.Second)
	a.session, a.until = s.Session, time.Now().Add(life)
	a.log.Info("enrolled with the broker", "broker", a.broker.Origin(), "as", s.Name)
	return a.session, nil
}

// renew replaces the old session by a fresh one from the response to a poll. Empty
// means that the response had none.
func (a *auth) renew(old, fresh string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if fresh != "" && a.session == old {
		a.session, a.until = fresh, time.Now().Add(api.SessionLife-renewBefore)
	}
}

// drop forgets a session that the broker has refused.
func (a *auth) drop(session string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.session == session {
		a.session = ""
	}
}

// with calls request with a session, and once more with a fresh one if the
// broker refuses that.
func (a *auth) with(ctx context.Context, request func(session string) error) error {
	for again := true; ; again = false {
		session, err := a.token(ctx)
		if err != nil {
			return err
		}
		err = request(session)
		if !refused(err) || !again {
			return err
		}
		a.drop(session)
	}
}

// refused reports whether the broker refuses the agent's session or key.
func refused(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && (p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden)
}

// unlisted reports whether the broker does not list the agent's key. A broker
// answers a key that it does not list as it answers a wrong signature.
func unlisted(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && (p.Code == api.CodeBadSignature || p.Code == api.CodeForbidden)
}
