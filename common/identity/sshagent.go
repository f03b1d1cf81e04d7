package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// agentTimeout bounds one signature by ssh-agent, which may wait for its user.
const agentTimeout = time.Minute

// agentSigner signs with a key that ssh-agent holds. It connects for each
// signature, so that it needs no Close method and ssh-agent may restart.
type agentSigner struct {
	socket string
	public ssh.PublicKey
}

func newAgentSigner(socket string, public ssh.PublicKey) (ssh.Signer, error) {
	if socket == "" {
		return nil, errors.New("it is a public key, and no ssh-agent is running with its private half (SSH_AUTH_SOCK is not set)")
	}
	s := agentSigner{socket: socket, public: public}
	err := s.with(func(client agent.ExtendedAgent) error {
		keys, err := client.List()
		if err != nil {
			return err
		}
		for _, key := range keys {
			if bytes.Equal(key.Blob, public.Marshal()) {
				return nil
			}
		}
		return fmt.Errorf("ssh-agent does not hold %s; add it with ssh-add", ssh.FingerprintSHA256(public))
	})
	return s, err
}

func (s agentSigner) with(use func(agent.ExtendedAgent) error) error {
	conn, err := net.DialTimeout("unix", s.socket, agentTimeout)
	if err != nil {
		return fmt.Errorf("reach ssh-agent: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(agentTimeout)); err != nil {
		return fmt.Errorf("reach ssh-agent: %w", err)
	}
	return use(agent.NewClient(conn))
}

func (s agentSigner) PublicKey() ssh.PublicKey { return s.public }

func (s agentSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm implements [ssh.AlgorithmSigner], which SSHSIG needs for RSA.
func (s agentSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (signature *ssh.Signature, err error) {
	var flags agent.SignatureFlags
	switch algorithm {
	case ssh.KeyAlgoRSASHA256:
		flags = agent.SignatureFlagRsaSha256
	case ssh.KeyAlgoRSASHA512:
		flags = agent.SignatureFlagRsaSha512
	}
	err = s.with(func(client agent.ExtendedAgent) error {
		signature, err = client.SignWithFlags(s.public, data, flags)
		return err
	})
	return signature, err
}
