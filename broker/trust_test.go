package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/keyring"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
)

// patience is how long tests wait for an event that must happen. Only a test that
// fails waits so long: a busy machine can take many seconds for one sync.
const patience = time.Minute

// startBroker runs a broker in the folder until the test ends and returns a
// client for it. Its list of agents is "agents", its state folder "state".
func startBroker(t *testing.T, dir string) *signaling.Client {
	t.Helper()
	addr := filepath.Join(dir, "addr")
	_ = os.Remove(addr)
	cfg, err := parseConfig("--addr", "127.0.0.1:0", "--addr-file", addr, "--disable-tls", "--open", "--exact-metrics",
		"--authorized-agents", filepath.Join(dir, "agents"), "--state-dir", filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	drain, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- serve(context.Background(), cfg, signals{drain: drain}, io.Discard, io.Discard)
	}()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		url, err := os.ReadFile(addr)
		if err == nil {
			c, err := signaling.New(signaling.Config{URL: strings.TrimSpace(string(url))})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				c.Close()
				close(drain)
				if err := <-done; err != nil {
					t.Errorf("serve: %v", err)
				}
			})
			return c
		}
		select {
		case err := <-done:
			t.Fatalf("the broker did not start: %v", err)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("the broker did not start")
		}
	}
}

// TestRevokedInTheFile takes an agent off the list while its poll waits at a real
// broker: the poll ends, and its session and its grants are void.
func TestRevokedInTheFile(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	key, err := identity.GenerateKey(filepath.Join(dir, "key"), "anvil")
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "agents")
	if _, err := directory.AddLines(list, key.PublicLine("anvil")); err != nil {
		t.Fatal(err)
	}
	t.Run("broker", func(t *testing.T) {
		c := startBroker(t, dir)
		session, err := c.Authenticate(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		status := &api.Status{TotalCores: 1, FreeCores: 1, TotalMemMB: 1, FreeMemMB: 1}
		ended := make(chan error, 1)
		go func() {
			_, err := c.Poll(t.Context(), session.Session, status)
			ended <- err
		}()
		awaitMetric(t, c, "farforge_broker_parked_polls 1\n")
		if _, err := directory.RemoveLine(list, "anvil"); err != nil {
			t.Fatal(err)
		}
		want := func(err error, code api.Code) {
			t.Helper()
			var p *api.Problem
			if !errors.As(err, &p) || p.Status != http.StatusUnauthorized || p.Code != code {
				t.Errorf("got %v, want %s", err, code)
			}
		}
		want(<-ended, api.CodeBadToken) // not 204, as at the end of its wait
		_, err = c.Poll(t.Context(), session.Session, status)
		want(err, api.CodeBadToken)
		_, err = c.Authenticate(t.Context(), key)
		want(err, api.CodeBadSignature)
		if p := requestGrant(t, c); p.Code != api.CodeNoAgent {
			t.Errorf("a grant without any agent: %+v", p)
		}
	})
}

// awaitMetric waits until /metrics has the line.
func awaitMetric(t *testing.T, c *signaling.Client, line string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		resp, err := client.Get(c.Origin() + api.PathMetrics)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), line) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("/metrics lacks %q", line)
		}
	}
}

// requestGrant requests a grant once, without the client's retries.
func requestGrant(t *testing.T, c *signaling.Client) (p api.Problem) {
	t.Helper()
	body, err := json.Marshal(&api.GrantRequest{
		PeerFingerprint:  strings.TrimSuffix(strings.Repeat("AB:", 32), ":"),
		RequiredChannels: []string{"espctl"}, CPUCores: 1, MemoryMB: 1, TimeoutSecs: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Post(c.Origin()+api.PathGrantRequest, api.TypeJSON, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRotationUnderARunningBroker rotates as the command does, and follows as an
// agent does. A session from before the rotation stays valid.
func TestRotationUnderARunningBroker(t *testing.T) {
	dir := t.TempDir()
	key, err := identity.GenerateKey(filepath.Join(dir, "key"), "anvil")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := directory.AddLines(filepath.Join(dir, "agents"), key.PublicLine("anvil")); err != nil {
		t.Fatal(err)
	}
	c := startBroker(t, dir)
	session, err := c.Authenticate(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.JWKS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, fresh, err := keyring.Rotate(filepath.Join(dir, "state"), time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		now, err := c.JWKS(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(now.Rotations) == 1 {
			followed, err := first.Keys.Follow(now)
			if err != nil || followed.KeyIDs()[0] != fresh.ID {
				t.Errorf("followed to %v, %v; want %s", followed.KeyIDs(), err, fresh.ID)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal("the broker does not publish the rotation")
		}
	}
	draining := &api.Status{TotalCores: 1, TotalMemMB: 1, Draining: true} // the broker answers at once
	if _, err := c.Poll(t.Context(), session.Session, draining); err != nil {
		t.Errorf("the session from before the rotation: %v", err)
	}
}
