package signaling

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// Authenticate opens an agent's session: hello, then the signed challenge. It
// signs the origin that this client was made for, and refuses a broker with
// another origin.
func (c *Client) Authenticate(ctx context.Context, key *identity.Key) (*api.SessionResponse, error) {
	return c.authenticate(ctx, key, identity.RoleAgent, api.PathAgentHello, api.PathAgentSession)
}

// AuthenticateUser opens a user's session in the same way.
func (c *Client) AuthenticateUser(ctx context.Context, key *identity.Key) (*api.SessionResponse, error) {
	return c.authenticate(ctx, key, identity.RoleUser, api.PathUserHello, api.PathUserSession)
}

func (c *Client) authenticate(ctx context.Context, key *identity.Key, role identity.Role, helloPath, sessionPath string) (*api.SessionResponse, error) {
	nonce := make([]byte, api.NonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	public := key.PublicLine("")
	var hello api.HelloResponse
	if _, err := c.call(ctx, helloPath, "", false, api.HelloRequest{PublicKey: public, Nonce: nonce}, &hello); err != nil {
		return nil, err
	}
	if hello.Origin != c.origin {
		return nil, &Unreachable{
			URL: c.origin, Err: fmt.Errorf("the broker there calls itself %q", hello.Origin), Permanent: true,
			Hints: []string{"use that URL, or ask the operator to set the broker's --origin"},
		}
	}
	challenge := identity.Challenge{Role: role, Origin: c.origin, Challenge: hello.Challenge, Nonce: nonce, Fingerprint: key.Fingerprint()}
	signature, err := key.Sign(identity.NamespaceSession, challenge.SignedBytes())
	if err != nil {
		return nil, err
	}
	var session api.SessionResponse
	in := api.SessionRequest{PublicKey: public, Nonce: nonce, Challenge: hello.Challenge, Signature: signature}
	if _, err := c.call(ctx, sessionPath, "", false, in, &session); err != nil {
		return nil, err
	}
	return &session, nil
}

// UserSession opens a user's session when a token is needed, and keeps the session
// until shortly before its end. Its Token method is made for Config.Token. It is
// safe for concurrent use.
type UserSession struct {
	// Client talks to the broker; it needs no Token of its own.
	Client *Client
	Key    *identity.Key

	once    sync.Once
	turn    chan struct{} // holds a token while no request opens a session
	session *api.SessionResponse
}

// sessionMargin is the time before a session's end at which it is renewed.
const sessionMargin = 30 * time.Second

// Token returns the token of a session that is valid for at least sessionMargin.
func (u *UserSession) Token(ctx context.Context) (string, error) {
	u.once.Do(func() { u.turn = make(chan struct{}, 1); u.turn <- struct{}{} })
	select {
	case <-u.turn:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { u.turn <- struct{}{} }()
	if u.session == nil || u.Client.Now().Add(sessionMargin).After(u.session.ExpiresAt) {
		session, err := u.Client.AuthenticateUser(ctx, u.Key)
		if err != nil {
			return "", err
		}
		u.session = session
	}
	return u.session.Session, nil
}
