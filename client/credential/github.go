package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/farforge/farforge/common/cli"
)

// Where a GitHub Actions job finds the service that issues its OIDC tokens, as
// GitHub's "OpenID Connect reference" documents it.
const (
	githubURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	githubToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

// github asks the runner's service for tokens. They live for some minutes, so
// each request gets its own.
type github struct {
	url, secret string
	audience    string
	http        *http.Client
}

func (g *github) check() error {
	if g.url == "" || g.secret == "" {
		return cli.Failf(cli.Usage, "--oidc github: %s and %s are not set", githubURL, githubToken).
			Hint("this works in a GitHub Actions job that has the permission:  permissions: { id-token: write }")
	}
	u, err := url.Parse(g.url)
	if err != nil {
		return cli.Failf(cli.Usage, "--oidc github: %s is no URL: %w", githubURL, err)
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme != "https" && !(ip != nil && ip.IsLoopback()) {
		return cli.Failf(cli.Usage, "--oidc github: %s is not an https URL, and a secret goes there", githubURL)
	}
	return nil
}

func (g *github) token(ctx context.Context) (string, error) {
	token, err := g.ask(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", cli.Failf(cli.Broker, "GitHub gives this job no OIDC token: %w", err).
			Hint("the job needs the permission:  permissions: { id-token: write }")
	}
	return oneToken("the OIDC token of this GitHub Actions job", token)
}

func (g *github) ask(ctx context.Context) (string, error) {
	u, err := url.Parse(g.url)
	if err != nil {
		return "", err
	}
	query := u.Query()
	query.Set("audience", g.audience)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+g.secret)
	req.Header.Set("Accept", "application/json")
	resp, err := g.http.Do(req)
	if err != nil {
		var outer *url.Error // has the URL
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4*maxSecret))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("its service answers %s", resp.Status)
	}
	var answer struct {
		Value string `json:"value"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Value == "" {
		return "", errors.New("its service answers without a token")
	}
	return answer.Value, nil
}
