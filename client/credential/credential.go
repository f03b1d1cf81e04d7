package credential

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
)

// Variables of the environment that hold a secret themselves.
const (
	AccessKeyVariable = "FARFORGE_ACCESS_KEY"
	OIDCTokenVariable = "FARFORGE_OIDC_TOKEN"
)

// Options tell which credential to use; at most one of the first four is set.
type Options struct {
	// AccessKeyFile and OIDCTokenFile hold the secret as their only line.
	AccessKeyFile, OIDCTokenFile string
	// UserKey is an SSH key: a private one, or the public half of one that
	// ssh-agent holds.
	UserKey string
	// OIDC is where to get a token from: "github".
	OIDC string
	// Audience is who an OIDC token is for; empty is the broker's origin.
	Audience string
}

// Credential is a way to prove who asks.
type Credential struct {
	// Name tells people which it is, such as "the SSH key SHA256:…". It is
	// empty for nobody in particular.
	Name string
	// Token returns the bearer token for a request; it is nil for nobody.
	Token func(context.Context) (string, error)

	close func()
}

// Close releases what the credential holds.
func (c *Credential) Close() {
	if c.close != nil {
		c.close()
	}
}

// Validate reports options that contradict each other.
func (o *Options) Validate() error {
	var given []string
	for flag, value := range map[string]string{
		"--access-key-file": o.AccessKeyFile, "--user-key": o.UserKey, "--oidc-token-file": o.OIDCTokenFile, "--oidc": o.OIDC,
	} {
		if value != "" {
			given = append(given, flag)
		}
	}
	switch {
	case len(given) > 1:
		return cli.Failf(cli.Usage, "--access-key-file, --user-key, --oidc-token-file and --oidc contradict each other").
			Hint("a broker is told one identity; choose one of them")
	case o.OIDC != "" && o.OIDC != "github":
		return cli.Failf(cli.Usage, "--oidc: there is no way to get a token from %q", o.OIDC).
			Hint("github is known; for any other issuer, put its token into a file and name that with --oidc-token-file")
	case o.Audience != "" && o.OIDC == "":
		return cli.Failf(cli.Usage, "--oidc-audience means nothing without --oidc")
	}
	return nil
}

// Open prepares the credential for the broker that the configuration names:
// what the options say, or else what the environment holds. ask gets a
// passphrase from the user; getenv is os.Getenv, or a test's. Errors are for
// the user.
func (o *Options) Open(broker signaling.Config, ask func(path string) ([]byte, error), getenv func(string) string) (*Credential, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	key, token := getenv(AccessKeyVariable), getenv(OIDCTokenVariable)
	switch {
	case o.AccessKeyFile != "":
		return fromFile("the access key in ", o.AccessKeyFile)
	case o.OIDCTokenFile != "":
		return fromFile("the OIDC token in ", o.OIDCTokenFile)
	case o.UserKey != "":
		return fromKey(broker, o.UserKey, identity.Loader{Passphrase: ask, AgentSocket: getenv("SSH_AUTH_SOCK")})
	case o.OIDC != "":
		return fromGitHub(broker.URL, o.Audience, getenv)
	case key != "" && token != "":
		return nil, cli.Failf(cli.Usage, "%s and %s are both set", AccessKeyVariable, OIDCTokenVariable).
			Hint("a broker is told one identity; unset one of them")
	case key != "":
		return fromVariable("the access key in ", AccessKeyVariable, key)
	case token != "":
		return fromVariable("the OIDC token in ", OIDCTokenVariable, token)
	default:
		return &Credential{}, nil
	}
}

// fromKey opens sessions with an SSH key.
func fromKey(broker signaling.Config, path string, loader identity.Loader) (*Credential, error) {
	key, err := load(path, loader)
	if err != nil {
		return nil, err
	}
	broker.Token = nil
	client, err := signaling.New(broker)
	if err != nil {
		return nil, cli.Fail(cli.Usage, err)
	}
	session := &signaling.UserSession{Client: client, Key: key}
	return &Credential{Name: "the SSH key " + key.Fingerprint(), Token: session.Token, close: client.Close}, nil
}

func fromGitHub(broker, audience string, getenv func(string) string) (*Credential, error) {
	if audience == "" {
		origin, err := identity.Origin(broker)
		if err != nil {
			return nil, cli.Fail(cli.Usage, err)
		}
		audience = origin
	}
	g := github{
		url: getenv(githubURL), secret: getenv(githubToken), audience: audience,
		http: &http.Client{
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true},
			Timeout:   30 * time.Second,
			// The runner's token must not follow a redirect to somebody else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("it redirects") },
		},
	}
	if err := g.check(); err != nil {
		return nil, err
	}
	return &Credential{Name: "the OIDC token of this GitHub Actions job", Token: g.token, close: g.http.CloseIdleConnections}, nil
}
