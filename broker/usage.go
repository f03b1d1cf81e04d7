package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/farforge/farforge/broker/disk"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/common/api"
)

const (
	usageTimeout = 10 * time.Second
	maxUsage     = 16 << 20 // bytes
)

// fetchUsage returns the usage of the users of a running broker. It sends the
// admin token over https, or to this machine.
func fetchUsage(ctx context.Context, broker, tokenFile string) (*api.Usage, error) {
	base, err := url.Parse(broker)
	switch {
	case err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http":
		return nil, usage(fmt.Errorf("--url: %q is not a broker's URL", broker), "it looks like https://broker.example.org")
	case base.Scheme == "http" && !isLoopback(base.Hostname()):
		return nil, usage(fmt.Errorf("--url: the admin token would go to %s in clear", base.Host), "use https, or run the command on the broker's machine")
	case tokenFile == "":
		return nil, usage(errors.New("--url needs --admin-token-file"), "name the file that the broker runs with")
	}
	token, _, err := disk.ReadSecret(tokenFile, maxTokenFile)
	if err != nil {
		return nil, usage(fmt.Errorf("--admin-token-file: %w", err))
	}
	ctx, cancel := context.WithTimeout(ctx, usageTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath(api.PathServiceUsers).String(), nil)
	if err != nil {
		return nil, usage(fmt.Errorf("--url: %w", err))
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	client := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token stays here
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxUsage))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		var problem api.Problem
		if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
			problem.Detail = "it runs without --admin-token-file, or is not a broker"
		}
		return nil, fmt.Errorf("the broker answered %s: %s", resp.Status, problem.Detail)
	}
	var u api.Usage
	if err := json.Unmarshal(body, &u); err != nil {
		return nil, fmt.Errorf("the broker's answer cannot be read: %w", err)
	}
	return &u, nil
}

// used formats jobs and time for the table of users.
func used(u api.UserUsage) (jobs, today string) {
	duration := func(secs int) string { return quota.ShortDuration(time.Duration(secs) * time.Second) }
	jobs, today = fmt.Sprint(u.JobsNow), duration(u.SessionSecsToday)
	if u.Limits.Jobs > 0 {
		jobs += fmt.Sprintf(" of %d", u.Limits.Jobs)
	}
	if u.Limits.SessionSecs > 0 {
		today += " of " + duration(u.Limits.SessionSecs)
	}
	return jobs, today
}
