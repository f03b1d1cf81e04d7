package remote

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/identity"
)

// Agent is who does the job. It has proved to hold the key.
type Agent struct {
	// Name is what the broker calls it.
	Name string
	Key  ssh.PublicKey
	// Fingerprint is the key's, "SHA256:…".
	Fingerprint string
}

// String names the agent for a message.
func (a Agent) String() string { return a.Name }

func newAgent(answer *envelope.Answer) Agent {
	return Agent{Name: nameOf(answer.Candidate), Key: answer.Agent, Fingerprint: ssh.FingerprintSHA256(answer.Agent)}
}

// nameOf is never empty.
func nameOf(c api.Candidate) string {
	if c.Name == "" {
		return c.Fingerprint
	}
	return c.Name
}

func publicKey(c api.Candidate) (ssh.PublicKey, error) {
	agent, err := identity.ParseAuthorizedLine(c.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("the candidate %s: %w", nameOf(c), err)
	}
	return agent.Key, nil
}

// nothingSent ends the hints of every refusal to connect.
const nothingSent = "nothing of your project was sent"

// unsealedError is for a candidate without a key to seal the offer to. Every
// agent of ours has one, so its absence is a downgrade.
func unsealedError(name string) error {
	return cli.Failf(cli.Verification, "the broker offers the agent %s without a key to seal the offer to, and could read it", name).Hint(
		"an agent of Farforge always has one: it is old, or the broker wants to listen in",
		"--allow-unsealed lets the broker see the addresses of both ends; the agent's answer has to be signed all the same",
		nothingSent)
}

// unwantedError is for a candidate that the user has not asked for, or has
// excluded.
func unwantedError(c api.Candidate) error {
	return cli.Failf(cli.Verification, "the broker offers the agent %s (%s), which was not asked for", nameOf(c), c.Fingerprint).Hint(
		"tell the broker's operator", nothingSent)
}

// candidateError is for a candidate whose keys do not hold together.
func candidateError(err error) error {
	return cli.Failf(cli.Verification, "the broker cannot be trusted: %w", err).Hint(
		"the broker, or somebody between it and this machine, has put another key in the place of an agent's; tell its operator",
		nothingSent)
}

// answerError is for an answer that is not from a candidate, or not to this
// offer.
func answerError(err error) error {
	return cli.Fail(cli.Verification, err,
		"the broker, or somebody between it and this machine, may be putting itself in the agent's place; tell its operator",
		nothingSent)
}

// certificateError is for a connection whose other end is not who signed the
// answer.
func certificateError(agent Agent, presented, promised string) error {
	return cli.Failf(cli.Verification, "who answers the connection is not %s: it presents the certificate %s, and %s signed %s",
		agent, presented, agent, promised).Hint(
		"somebody may have put itself between this machine and the agent; tell the broker's operator",
		nothingSent)
}
