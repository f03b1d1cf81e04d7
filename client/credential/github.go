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
	"strconv"
	"time"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/signaling"
)

// The variables that name the service for OIDC tokens in a GitHub Actions job, as
// GitHub's "OpenID Connect reference" documents them.
const (
	githubURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	githubToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

// github fetches tokens from the runner's service. They are valid for some minutes, so
// each request gets its own. It retries when the service is busy or breaks off.
type github struct {
	url, secret string
	audience    string
	http        *http.Client
}

func (g *github) check() error {
	if g.url == "" || g.secret == "" {
		return cli.Failf(cli.Usage, "--oidc github: %s and %s are not set", githubURL, githubToken).
			Hint("use it in a GitHub Actions job with the permission:  permissions: { id-token: write }")
	}
	u, err := url.Parse(g.url)
	if err != nil {
		return cli.Failf(cli.Usage, "--oidc github: %s is not a URL: %w", githubURL, err)
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme != "https" && !(ip != nil && ip.IsLoopback()) {
		return cli.Failf(cli.Usage, "--oidc github: %s is not an https URL, and the client would send a secret there", githubURL)
	}
	return nil
}

func (g *github) token(ctx context.Context) (string, error) {
	backoff := signaling.Backoff{Base: time.Second, Max: maxPause}
	for try := 1; ; try++ {
		token, err := g.fetch(ctx)
		var passing *passingError
		switch {
		case err == nil:
			return oneToken("the OIDC token of this GitHub Actions job", token)
		case ctx.Err() != nil:
			return "", ctx.Err()
		case !errors.As(err, &passing):
			return "", cli.Failf(cli.Broker, "GitHub gives this job no OIDC token: %w", err).
				Hint("give the job the permission:  permissions: { id-token: write }")
		case try == maxTries:
			return "", cli.Failf(cli.Broker, "GitHub gives this job no OIDC token: %w, %d times", err, try).
				Hint("run the job again later; githubstatus.com shows whether GitHub has a problem")
		}
		if err := signaling.Sleep(ctx, max(passing.pause, backoff.Next(err))); err != nil {
			return "", err
		}
	}
}

// maxTries bounds the requests for one token, and maxPause the pause between two.
const (
	maxTries = 5
	maxPause = 10 * time.Second
)

// passingError is a temporary error of the service. pause is the pause that the service
// requests before the next try; 0 leaves that to the client.
type passingError struct {
	err   error
	pause time.Duration
}

func (p *passingError) Error() string { return p.err.Error() }
func (p *passingError) Unwrap() error { return p.err }

func (g *github) fetch(ctx context.Context) (string, error) {
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
		if errors.Is(err, errRedirect) {
			return "", err
		}
		return "", &passingError{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4*maxSecret))
	if err != nil {
		return "", &passingError{err: err}
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return "", &passingError{
			err:   fmt.Errorf("its service answers %s", resp.Status),
			pause: min(max(time.Duration(seconds), 0)*time.Second, maxPause),
		}
	default:
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
