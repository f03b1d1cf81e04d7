//go:build unix

package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/peer"
	"github.com/farforge/farforge/common/rendezvous"
	"github.com/farforge/farforge/proxy-agent/build"
	"github.com/farforge/farforge/proxy-agent/sandbox"
	"github.com/farforge/farforge/proxy-agent/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const recipe = `name = "script"
targets = ["esp32c3"]
[toolchain]
name = "sh"
detect = [["echo", "sh 1.0"]]
version = 'sh (.*)'
[project]
files = ["build.sh"]
[build]
command = ["sh", "build.sh"]
[artifacts]
files = ["*.bin"]
`

// agent is a worker and all that a test needs to drive it.
type agent struct {
	t      *testing.T
	dir    string // of its state
	broker *broker
	drain  chan struct{}
	stop   context.CancelFunc
	ended  chan error // one, when Run has returned
}

// newAgent makes an agent that runs once start is called.
func newAgent(t *testing.T) (*agent, func()) {
	t.Helper()
	dir := t.TempDir()
	key, err := identity.GenerateKey(filepath.Join(dir, "key"), "anvil")
	if err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, key)
	client, err := rendezvous.New(rendezvous.Config{URL: b.url()})
	if err != nil {
		t.Fatal(err)
	}
	workspaces, err := build.OpenWorkspaces(filepath.Join(dir, "workspaces"))
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
	log := slog.New(slog.NewTextHandler(testWriter{t}, nil))
	w := New(Config{
		Broker: client, Key: key, Logger: log, Version: "test",
		Capabilities: catalog.Capabilities(),
		Capacity:     Capacity{Cores: 4, MemoryMB: 2048, Jobs: 2},
		Keys: func(ctx context.Context) (*grant.KeySet, error) {
			return session.PinnedKeys(ctx, dir, client.Origin(), client.JWKS, nil)
		},
		Host: func(keys *grant.KeySet) *session.Host {
			return session.NewHost(session.Config{
				Agent: key.Fingerprint(), Broker: client.Origin(), Keys: keys, Catalog: catalog,
				Sandbox: sandbox.None{}, Workspaces: workspaces, Loopback: true, Logger: log,
			})
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	a := &agent{t: t, dir: dir, broker: b, drain: make(chan struct{}), stop: cancel, ended: make(chan error, 1)}
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

func startAgent(t *testing.T) *agent {
	t.Helper()
	a, start := newAgent(t)
	a.broker.start()
	start()
	return a
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// client is the other end of a job.
type client struct {
	t     *testing.T
	offer *peer.Offer
	conn  *peer.Conn
	job   *api.Job
}

// newClient makes an offer and the job that carries it.
func (a *agent) newClient(jobID string, change ...func(*grant.Grant)) *client {
	a.t.Helper()
	cert, err := peer.NewCertificate()
	if err != nil {
		a.t.Fatal(err)
	}
	labels := []string{channel.LabelControl, channel.LabelSource, channel.LabelFirmware}
	offer, err := peer.NewOffer(a.t.Context(), peer.Config{Certificate: cert, Loopback: true}, labels)
	if err != nil {
		a.t.Fatal(err)
	}
	now := time.Now()
	g := &grant.Grant{
		Issuer: a.broker.url(), Subject: "anonymous", JobID: jobID, IssuedAt: now, ExpiresAt: now.Add(30 * time.Second),
		PeerFingerprint: cert.Fingerprint(), Agents: []string{a.broker.agent.Fingerprint}, Channels: labels,
		CPUCores: 3, MemoryMB: 512, SessionSecs: 60,
	}
	for _, c := range change {
		c(g)
	}
	token, err := a.broker.signer.Sign(g)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &client{t: a.t, offer: offer, job: &api.Job{JobID: jobID, Grant: token, Offer: offer.Bytes(), AnswerBy: now.Add(api.AnswerTimeout)}}
	a.t.Cleanup(func() {
		if c.conn != nil {
			c.conn.Close()
		} else {
			offer.Close()
		}
	})
	return c
}

// build connects by the agent's answer and has the script built.
func (c *client) build(b *broker, script string) {
	c.t.Helper()
	answer := receive(c.t, b.answers, "answer")
	if answer.jobID != c.job.JobID {
		c.t.Fatalf("the answer is for job %s", answer.jobID)
	}
	var err error
	if c.conn, err = c.offer.Connect(c.t.Context(), answer.body); err != nil {
		c.t.Fatal(err)
	}
	control, source := c.open(channel.LabelControl), c.open(channel.LabelSource)
	if err := channel.WriteControl(c.t.Context(), control, &channel.Message{Type: channel.TypeBuild, Build: &channel.Build{}}); err != nil {
		c.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(script))
	m := &channel.Manifest{Files: []channel.File{{Path: "build.sh", Kind: channel.KindFile, Size: int64(len(script)), SHA256: hex.EncodeToString(sum[:])}}}
	open := func(channel.File) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(script)), nil }
	if _, err := channel.SendTree(c.t.Context(), source, m, open, nil); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) open(label string) channel.Messages {
	c.t.Helper()
	m, err := c.conn.Channel(c.t.Context(), label)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// until reads control messages until one of the type.
func (c *client) until(want channel.Type) *channel.Message {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	for {
		msg, err := channel.ReadControl(ctx, c.open(channel.LabelControl))
		if err != nil {
			c.t.Fatal(err)
		}
		if msg.Type == want {
			return msg
		}
	}
}

// result reads the result and hangs up.
func (c *client) result() *channel.Result {
	c.t.Helper()
	r := c.until(channel.TypeResult).Result
	if err := c.conn.Close(); err != nil && !errors.Is(err, context.Canceled) {
		c.t.Error(err)
	}
	return r
}
