package fakebroker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/grant"
	"github.com/farforge/farforge/common/peer"
)

// Recipe makes an agent run the script of [Client.Build].
const Recipe = `name = "script"
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

// Client is the other end of a job.
type Client struct {
	Job *api.Job
	// Cache is the secret for the agent's cache; see channel.Build.
	Cache string

	t     testing.TB
	offer *peer.Offer
	sent  *envelope.Offer
	conn  *peer.Conn
}

// NewClient makes an offer and the job that carries it.
func (b *Broker) NewClient(jobID string, change ...func(*grant.Grant)) *Client {
	b.t.Helper()
	cert, err := peer.NewCertificate()
	if err != nil {
		b.t.Fatal(err)
	}
	labels := []string{channel.LabelControl, channel.LabelSource, channel.LabelFirmware}
	offer, err := peer.NewOffer(b.t.Context(), peer.Config{Certificate: cert, Loopback: true}, labels)
	if err != nil {
		b.t.Fatal(err)
	}
	now := b.now()
	g := &grant.Grant{
		Issuer: b.URL(), Subject: "anonymous", JobID: jobID, IssuedAt: now, ExpiresAt: now.Add(30 * time.Second),
		PeerFingerprint: cert.Fingerprint(), Agents: []string{b.Agent.Fingerprint}, Channels: labels,
		CPUCores: 3, MemoryMB: 512, SessionSecs: 60,
	}
	for _, c := range change {
		c(g)
	}
	token, err := b.Signer.Sign(g)
	if err != nil {
		b.t.Fatal(err)
	}
	sent, err := envelope.PlainOffer(string(offer.Description()), []api.Candidate{{Name: b.Agent.Name, Fingerprint: b.Agent.Fingerprint}})
	if err != nil {
		b.t.Fatal(err)
	}
	c := &Client{t: b.t, offer: offer, sent: sent, Job: &api.Job{JobID: jobID, Grant: token, Offer: sent.Body, AnswerBy: now.Add(api.AnswerTimeout)}}
	b.t.Cleanup(func() {
		if c.conn != nil {
			c.conn.Close()
		} else {
			offer.Close()
		}
	})
	return c
}

// Seal seals the offer to the agent, which has sent its key with a poll.
func (c *Client) Seal(b *Broker, key *api.SealingKey) {
	c.t.Helper()
	agent := api.Candidate{
		Name: b.Agent.Name, Fingerprint: b.Agent.Fingerprint, Sealing: key,
		PublicKey: string(ssh.MarshalAuthorizedKey(b.Agent.Key)),
	}
	var err error
	if c.sent, err = envelope.SealOffer(string(c.offer.Description()), []api.Candidate{agent}); err != nil {
		c.t.Fatal(err)
	}
	c.Job.Offer = c.sent.Body
}

// Connect reads the agent's answer and connects.
func (c *Client) Connect(b *Broker) {
	c.t.Helper()
	answer := Receive(c.t, b.Answers, "answer")
	if answer.JobID != c.Job.JobID {
		c.t.Fatalf("the answer is for job %s", answer.JobID)
	}
	opened, err := c.sent.OpenAnswer(c.Job.JobID, answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.conn, err = c.offer.Connect(c.t.Context(), peer.Description(opened.SDP)); err != nil {
		c.t.Fatal(err)
	}
	if presented := c.conn.RemoteFingerprint(); presented != opened.DTLSFingerprint {
		c.t.Errorf("the agent signed for the certificate %s and presents %s", opened.DTLSFingerprint, presented)
	}
}

// Request sends the build message.
func (c *Client) Request() {
	c.t.Helper()
	control := c.Open(channel.LabelControl)
	if err := channel.WriteControl(c.t.Context(), control, &channel.Message{Type: channel.TypeBuild, Build: &channel.Build{Cache: c.Cache}}); err != nil {
		c.t.Fatal(err)
	}
}

// Build connects and sends the agent a project with the script as build.sh.
func (c *Client) Build(b *Broker, script string) {
	c.t.Helper()
	c.Connect(b)
	c.Request()
	sum := sha256.Sum256([]byte(script))
	m := &channel.Manifest{Files: []channel.File{{Path: "build.sh", Kind: channel.KindFile, Size: int64(len(script)), SHA256: hex.EncodeToString(sum[:])}}}
	open := func(channel.File) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(script)), nil }
	if _, err := channel.SendTree(c.t.Context(), c.Open(channel.LabelSource), m, open, nil); err != nil {
		c.t.Fatal(err)
	}
}

// Open returns the channel with the label.
func (c *Client) Open(label string) channel.Messages {
	c.t.Helper()
	m, err := c.conn.Channel(c.t.Context(), label)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// Until returns the next control message of the type.
func (c *Client) Until(want channel.Type) *channel.Message {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for {
		msg, err := channel.ReadControl(ctx, c.Open(channel.LabelControl))
		if err != nil {
			c.t.Fatal(err)
		}
		if msg.Type == want {
			return msg
		}
	}
}

// HangUp closes the connection.
func (c *Client) HangUp() {
	if err := c.conn.Close(); err != nil {
		c.t.Error(err)
	}
}

// Result reads the result and hangs up.
func (c *Client) Result() *channel.Result {
	c.t.Helper()
	r := c.Until(channel.TypeResult).Result
	c.HangUp()
	return r
}
