// Package credential proves the user's identity to a broker:
//
//	access key     a secret line from the broker's operator   Bearer KEY
//	SSH key        signs the broker's challenge               Bearer SESSION
//	OIDC token     a statement of an issuer, as in CI         Bearer JWT
//	none           for a broker that is open to all
//
// Secrets come from files that only their owner can read, from the environment,
// from the terminal or from ssh-agent. They never come from the command line, which
// every process on the machine can read.
package credential

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
)

// Variables of the environment that hold a secret.
const (
	AccessKeyVariable = "FARFORGE_ACCESS_KEY"
	OIDCTokenVariable = "FARFORGE_OIDC_TOKEN"
)

// Options selects the credential; at most one of the first four is set.
type Options struct {
	// AccessKeyFile and OIDCTokenFile are files with the secret as their only line.
	AccessKeyFile, OIDCTokenFile string
	// UserKey is an SSH key: a private one, or the public half of one that
	// ssh-agent holds.
	UserKey string
	// OIDC is the issuer to fetch a token from: "github".
	OIDC string
	// Audience is the audience of an OIDC token; empty is the broker's origin.
	Audience string
}

// Credential proves an identity to a broker.
type Credential struct {
	// Name names the credential for people, such as "the SSH key SHA256:…". It is empty
	// for none.
	Name string
	// Token returns the bearer token for a request; it is nil for none.
	Token func(context.Context) (string, error)

	close func()
}

// Close releases the credential's connections.
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
			Hint("choose one of them: a request carries one identity")
	case o.OIDC != "" && o.OIDC != "github":
		return cli.Failf(cli.Usage, "--oidc: the client cannot fetch a token from %q", o.OIDC).
			Hint("use github, or put the token of another issuer into a file and name that with --oidc-token-file")
	case o.Audience != "" && o.OIDC == "":
		return cli.Failf(cli.Usage, "--oidc-audience needs --oidc")
	}
	return nil
}

// Open prepares a credential for the configured broker: that of the options, or else
// that of the environment. ask gets a passphrase from the user; getenv
// is os.Getenv, or a stand-in of a test. Errors are for the user.
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
			Hint("unset one of them: a request carries one identity")
	case key != "":
		return fromVariable("the access key in ", AccessKeyVariable, key)
	case token != "":
		return fromVariable("the OIDC token in ", OIDCTokenVariable, token)
	default:
		return &Credential{}, nil
	}
}

var errRedirect = errors.New("it redirects")

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
			// The runner's token must not follow a redirect to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
		},
	}
	if err := g.check(); err != nil {
		return nil, err
	}
	return &Credential{Name: "the OIDC token of this GitHub Actions job", Token: g.token, close: g.http.CloseIdleConnections}, nil
}

// Register defines the flags and their defaults. A secret itself is never a flag:
// other users of the machine could read it.
func (o *Options) Register(f *pflag.FlagSet) {
	f.StringVar(&o.AccessKeyFile, "access-key-file", "", "sign in with the access key in this `FILE` (default "+AccessKeyVariable+")")
	f.StringVar(&o.UserKey, "user-key", "", "sign in with the SSH key in this `FILE`, or a .pub with ssh-agent")
	f.StringVar(&o.OIDCTokenFile, "oidc-token-file", "", "sign in with the OIDC token in this `FILE` (default "+OIDCTokenVariable+")")
	f.StringVar(&o.OIDC, "oidc", "", "sign in with a token of this `ISSUER`: github, in a GitHub Actions job")
	f.StringVar(&o.Audience, "oidc-audience", "", "fetch a token for this audience `NAME` with --oidc (default the broker's URL)")
}
