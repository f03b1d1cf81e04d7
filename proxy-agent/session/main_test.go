//go:build unix

package session

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/peer"
	"github.com/farforge/farforge/proxy-agent/build"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const brokerName = "https://broker.example.org"

// recipe runs a script of the project's own.
const recipe = `name = "script"
targets = ["esp32c3"]
[toolchain]
name = "sh"
detect = [["echo", "sh 1.0"]]
version = 'sh (.*)'
[project]
files = ["build.sh"]
[build]
command = ["sh", "build.sh", "{out}"]
[artifacts]
files = ["*.bin"]
[flash]
images = [{ name = "app", offset = 0x0, file = "*.bin" }]
`

// world is an agent's host and a broker's key.
type world struct {
	t      *testing.T
	host   *Host
	signer *grant.Signer
	dir    string // of the workspaces
}

func newSigner(t *testing.T) *grant.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return grant.NewSigner(key)
}

// newWorld makes an agent's host, after change.
func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, signer: newSigner(t), dir: t.TempDir()}
	workspaces, err := build.OpenWorkspaces(w.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { workspaces.Close() })
	sb := sandbox.Sandbox(sandbox.NewBubblewrap(t.Context()))
	if err := sb.Check(t.Context()); err != nil {
		t.Logf("without a sandbox, because: %v", err)
		sb = sandbox.None{}
	}
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "key"), "")
	if err != nil {
		t.Fatal(err)
	}
	sealing, err := envelope.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Key: key, Sealing: sealing, Broker: brokerName, Keys: grant.NewKeySet(w.signer.Public()),
		Sandbox: sb, Workspaces: workspaces, Version: "test", Loopback: true,
		Logger: textLogger(testWriter{t}),
	}
	for _, c := range change {
		c(&cfg)
	}
	if w.host, err = NewHost(cfg); err != nil {
		t.Fatal(err)
	}
	w.recipe(recipe)
	return w
}

// recipe replaces the agent's recipes by one.
func (w *world) recipe(text string) {
	w.t.Helper()
	r, err := build.Parse("test.toml", []byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	catalog, err := build.Detect(w.t.Context(), w.host.Sandbox, []*build.Recipe{r})
	if err != nil {
		w.t.Fatal(err)
	}
	w.host.Catalog = func() *build.Catalog { return catalog }
}

// candidate is a broker's description of the agent.
func (w *world) candidate() api.Candidate {
	w.t.Helper()
	sealing, err := w.host.Sealing.Bind(w.host.Key)
	if err != nil {
		w.t.Fatal(err)
	}
	return api.Candidate{
		Name: "anvil", Fingerprint: w.host.Key.Fingerprint(), PublicKey: w.host.Key.PublicLine(""), Sealing: sealing,
	}
}

// textLogger returns a logger that writes text to w.
func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// testWriter shows the agent's log with the test it belongs to.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// left returns the workspaces that exist.
func (w *world) left() []string {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "job-*"))
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

var allChannels = []string{channel.LabelControl, channel.LabelSource, channel.LabelFirmware}

func (w *world) grant(cert *peer.Certificate, change ...func(*grant.Grant)) *grant.Grant {
	now := time.Now()
	g := &grant.Grant{
		Issuer: brokerName, Subject: "anonymous", JobID: "01JOB",
		IssuedAt: now, ExpiresAt: now.Add(30 * time.Second),
		PeerFingerprint: cert.Fingerprint(), Agents: []string{w.host.Key.Fingerprint()}, Channels: allChannels,
		CPUCores: 1, MemoryMB: 512, SessionSecs: 60, Target: "esp32c3",
	}
	for _, c := range change {
		c(g)
	}
	return g
}

func (w *world) job(g *grant.Grant, offer []byte) *api.Job {
	w.t.Helper()
	token, err := w.signer.Sign(g)
	if err != nil {
		w.t.Fatal(err)
	}
	return &api.Job{JobID: g.JobID, Grant: token, Offer: offer}
}

// client is the other end of a session.
type client struct {
	t       *testing.T
	conn    *peer.Conn
	control channel.Messages
	ending  chan Ending // one, when Serve has returned
}

// connect makes a connection, which the agent serves with ctx.
func (w *world) connect(ctx context.Context, labels []string, change ...func(*grant.Grant)) *client {
	w.t.Helper()
	cert, err := peer.NewCertificate()
	if err != nil {
		w.t.Fatal(err)
	}
	offer, err := peer.NewOffer(w.t.Context(), peer.Config{Certificate: cert, Loopback: true}, labels)
	if err != nil {
		w.t.Fatal(err)
	}
	// Like our own client, seal the offer and check the answer's signature.
	sealed, err := envelope.SealOffer(string(offer.Description()), []api.Candidate{w.candidate()})
	if err != nil {
		w.t.Fatal(err)
	}
	g := w.grant(cert, change...)
	admitted, err := w.host.Admit(w.job(g, sealed.Body))
	if err != nil {
		w.t.Fatal(err)
	}
	s, answer, err := w.host.Answer(w.t.Context(), admitted)
	if err != nil {
		w.t.Fatal(err)
	}
	opened, err := sealed.OpenAnswer(g.JobID, answer)
	if err != nil {
		w.t.Fatal(err)
	}
	c := &client{t: w.t, ending: make(chan Ending, 1)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		ending := s.Serve(ctx)
		if err := s.Close(ctx); err != nil {
			w.t.Error(err)
		}
		c.ending <- ending
	}()
	if c.conn, err = offer.Connect(w.t.Context(), peer.Description(opened.SDP)); err != nil {
		w.t.Fatal(err)
	}
	if presented := c.conn.RemoteFingerprint(); presented != opened.DTLSFingerprint {
		w.t.Fatalf("the agent signed for %s and presents %s", opened.DTLSFingerprint, presented)
	}
	w.t.Cleanup(func() { c.conn.Close(); <-served })
	if c.control, err = c.conn.Channel(w.t.Context(), channel.LabelControl); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (c *client) send(msg *channel.Message) {
	c.t.Helper()
	if err := channel.WriteControl(c.t.Context(), c.control, msg); err != nil {
		c.t.Fatal(err)
	}
}

// build starts a build and sends the files.
func (c *client) build(files map[string]string) {
	c.t.Helper()
	c.send(&channel.Message{Type: channel.TypeBuild, Build: &channel.Build{Project: "test"}})
	source := c.open(channel.LabelSource)
	_, err := channel.SendTree(c.t.Context(), source, manifestOf(files), func(f channel.File) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(files[f.Path])), nil
	}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
}

func manifestOf(files map[string]string) *channel.Manifest {
	manifest := &channel.Manifest{}
	for path, text := range files {
		sum := sha256.Sum256([]byte(text))
		manifest.Files = append(manifest.Files, channel.File{Path: path, Kind: channel.KindFile, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])})
	}
	return manifest
}

func (c *client) open(label string) channel.Messages {
	c.t.Helper()
	m, err := c.conn.Channel(c.t.Context(), label)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// next returns the next control message of a type. A result before it fails the
// test.
func (c *client) next(want channel.Type) *channel.Message {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for {
		msg, err := channel.ReadControl(ctx, c.control)
		if err != nil {
			c.t.Fatalf("waiting for a %s message: %v", want, err)
		}
		if msg.Type == want {
			return msg
		}
		if msg.Type == channel.TypeResult {
			c.t.Fatalf("waiting for a %s message: the result is %+v, %+v", want, msg.Result, msg.Result.Problem)
		}
	}
}

// untilLog reads until a line of the build's output is text.
func (c *client) untilLog(text string) {
	c.t.Helper()
	for {
		for _, line := range c.next(channel.TypeLog).Log.Lines {
			if line == text {
				return
			}
		}
	}
}

// result reads the result, hangs up, and returns it with the agent's ending.
func (c *client) result() (*channel.Result, Ending) {
	c.t.Helper()
	r := c.next(channel.TypeResult).Result
	c.conn.Close()
	return r, c.over()
}

func (c *client) over() Ending {
	c.t.Helper()
	select {
	case e := <-c.ending:
		return e
	case <-time.After(time.Minute):
		c.t.Fatal("the session goes on")
		panic("unreachable")
	}
}

// running returns the processes whose command line has the mark.
func running(t *testing.T, mark string) []string {
	t.Helper()
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	if len(paths) == 0 {
		t.Skip("this test counts processes in /proc")
	}
	var found []string
	for _, path := range paths {
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(mark)) {
			found = append(found, path+" "+string(bytes.ReplaceAll(data, []byte{0}, []byte{' '})))
		}
	}
	return found
}
