package remote

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/identity"
)

// Agent is the agent that does the job. It has proved that it holds the key.
type Agent struct {
	// Name is its name at the broker.
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

// nameOf returns the candidate's name, or else its fingerprint.
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

// unsealedError returns the error for a candidate without a key to seal the offer to.
// Every agent of Farforge has one, so its absence is a downgrade.
func unsealedError(name string) error {
	return cli.Failf(cli.Verification, "the broker offers the agent %s without a key to seal the offer to, and could read it", name).Hint(
		"every agent of Farforge has one: this one is old, or the broker hides its key",
		"--allow-unsealed lets the broker see the addresses of both ends; the agent's answer must still be signed",
		nothingSent)
}

const codeUnwanted = "unwanted_agent"

// unwantedError returns the error for a candidate that the request does not name, or excludes.
func unwantedError(c api.Candidate) error {
	return cli.Failf(cli.Verification, "the broker offers the agent %s (%s), which the request does not allow", nameOf(c), c.Fingerprint).Hint(
		"tell the broker's operator", nothingSent).WithCode(codeUnwanted)
}

// candidateError returns the error for a candidate whose keys do not match each other.
func candidateError(err error) error {
	return cli.Failf(cli.Verification, "the broker cannot be trusted: %w", err).Hint(
		"the broker, or a machine on the way to it, has replaced an agent's key; tell its operator",
		nothingSent)
}

// answerError returns the error for an answer that is not by a candidate, or not to
// this offer.
func answerError(err error) error {
	return cli.Fail(cli.Verification, err,
		"the broker, or a machine on the way to it, may be posing as the agent; tell its operator",
		nothingSent)
}

// certificateError returns the error for a connection whose other end is not the signer
// of the answer.
func certificateError(agent Agent, presented, promised string) error {
	return cli.Failf(cli.Verification, "the other end of the connection is not %s: it presents the certificate %s, and %s signed %s",
		agent, presented, agent, promised).Hint(
		"a machine on the way may be posing as the agent; tell the broker's operator",
		nothingSent)
}
