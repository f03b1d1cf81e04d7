//go:build unix

package worker

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
	"github.com/farforge/farforge/proxy-agent/build"
	"github.com/farforge/farforge/proxy-agent/internal/fakebroker"
	"github.com/farforge/farforge/proxy-agent/sandbox"
	"github.com/farforge/farforge/proxy-agent/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// agent is a worker with its broker, log and signals.
type agent struct {
	t       testing.TB
	dir     string // of its state
	sealing *api.SealingKey
	log     *record
	broker  *fakebroker.Broker
	drain   chan struct{}
	stop    context.CancelFunc
	ended   chan error // one, when Run has returned
}

// newAgent makes an agent that runs once start is called.
func newAgent(t testing.TB, change ...func(*Config)) (*agent, func()) {
	t.Helper()
	return newAgentFor(t, fakebroker.Recipe, change...)
}

// newAgentFor makes an agent with another recipe.
func newAgentFor(t testing.TB, recipe string, change ...func(*Config)) (*agent, func()) {
	t.Helper()
	dir := t.TempDir()
	key, err := identity.GenerateKey(filepath.Join(dir, "key"), "anvil")
	if err != nil {
		t.Fatal(err)
	}
	b := fakebroker.NewBroker(t, key)
	client, err := signaling.New(signaling.Config{URL: b.URL()})
	if err != nil {
		t.Fatal(err)
	}
	workspaces, err := build.OpenWorkspaces(filepath.Join(dir, "workspaces"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := build.Parse("test.toml", []byte(recipe))
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := build.Detect(t.Context(), sandbox.None{}, []*build.Recipe{r})
	if err != nil {
		t.Fatal(err)
	}
	caches, err := build.OpenCaches(workspaces, catalog, build.CacheLimits{Number: 4, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	sealing, err := envelope.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	bound, err := sealing.Bind(key)
	if err != nil {
		t.Fatal(err)
	}
	pinned := func(ctx context.Context) (*grant.KeySet, error) {
		return session.PinnedKeys(ctx, dir, client.Origin(), client.JWKS, nil)
	}
	record := &record{t: t, grown: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(record, nil))
	cfg := Config{
		Broker: client, Key: key, Line: key.PublicLine("anvil"), Sealing: bound, Logger: log, Version: "test", Keys: pinned,
		Offer: func() ([]api.Capability, []api.Recipe) { return catalog.Capabilities(), catalog.Recipes() }, Tags: []string{"eu"}, Warm: caches.Warm,
		Capacity: capacity.Capacity{Cores: 4, MemoryMB: 2048}, MaxJobs: 2,
		Host: func(keys *grant.KeySet) (*session.Host, error) {
			return session.NewHost(session.Config{
				Key: key, Sealing: sealing, Broker: client.Origin(), Keys: keys, Refetch: pinned, Clock: client,
				UsedGrants: filepath.Join(dir, "used.json"), Catalog: func() *build.Catalog { return catalog },
				Sandbox: sandbox.None{}, Workspaces: workspaces, Caches: caches, Loopback: true, Logger: log,
			})
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	w := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	a := &agent{t: t, dir: dir, sealing: bound, log: record, broker: b, drain: make(chan struct{}), stop: cancel, ended: make(chan error, 1)}
	started := false
	t.Cleanup(func() {
		cancel()
		if started {
			select {
			case <-a.ended:
			case <-time.After(20 * time.Second):
				t.Error("Run does not return")
			}
		}
		client.Close()
		workspaces.Close()
	})
	return a, func() {
		started = true
		go func() { a.ended <- w.Run(ctx, a.drain); close(a.ended) }()
	}
}

func startAgent(t testing.TB) *agent {
	t.Helper()
	a, start := newAgent(t)
	a.broker.Start()
	start()
	return a
}

// record passes the agent's log to the test's log, and keeps it.
type record struct {
	t testing.TB

	mu    sync.Mutex
	text  strings.Builder
	grown chan struct{} // closed and replaced with each line
}

func (r *record) Write(p []byte) (int, error) {
	r.t.Log(strings.TrimSpace(string(p)))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.Write(p)
	close(r.grown)
	r.grown = make(chan struct{})
	return len(p), nil
}

// await waits until the agent has logged text.
func (r *record) await(t testing.TB, text string) {
	t.Helper()
	for {
		r.mu.Lock()
		found, grown := strings.Contains(r.text.String(), text), r.grown
		r.mu.Unlock()
		if found {
			return
		}
		fakebroker.Receive(t, grown, text)
	}
}
