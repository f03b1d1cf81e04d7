package fakefarm

import (
	"context"
	"os"
	"path/filepath"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/peer"
	"github.com/farforge/farforge/common/provenance"
)

// Hostile is the bad behavior of a broker or an agent. The zero value is honest.
type Hostile struct {
	// Candidates changes the candidates of a grant.
	Candidates func([]api.Candidate) []api.Candidate
	// Offer and Answer change a body on its way through the broker.
	Offer  func([]byte) []byte
	Answer func(job string, offer, answer []byte) []byte
	// AnswersAs signs the answer in place of the agent's key.
	AnswersAs *identity.Key
	// Promise changes the DTLS fingerprint that the agent signs.
	Promise func(string) string
	// Statement changes the agent's statement about the build, and Signs signs it in
	// place of the agent's key.
	Statement func(*provenance.Build)
	Signs     *identity.Key
	// Firmware changes the artifacts after the agent has signed them.
	Firmware func(files map[string]string)
	// Unsigned sends no statement.
	Unsigned bool
}

// NewKey makes an agent's key.
func NewKey(t T) *identity.Key {
	dir, err := os.MkdirTemp("", "fakefarm-")
	if err != nil {
		t.Errorf("%v", err)
		return nil
	}
	defer os.RemoveAll(dir)
	key, err := identity.GenerateKey(filepath.Join(dir, "key"), "")
	if err != nil {
		t.Errorf("%v", err)
	}
	return key
}

// answer opens the offer and makes the signed answer to it.
func (b *Broker) answer(ctx context.Context, now Settings, job string, body []byte) (*peer.Conn, []byte, error) {
	sent := body
	if now.Offer != nil {
		body = now.Offer(body)
	}
	offer, err := envelope.OpenOffer(b.sealing, body)
	if err != nil {
		return nil, nil, err
	}
	cert, err := peer.NewCertificate()
	if err != nil {
		return nil, nil, err
	}
	allow := now.Allow
	if allow == nil {
		allow = func(string) error { return nil }
	}
	conn, answer, err := peer.NewAnswer(ctx, peer.Config{Loopback: true, Certificate: cert}, peer.Description(offer.SDP), allow)
	if err != nil {
		return nil, nil, err
	}
	key, fingerprint := now.Key, cert.Fingerprint()
	if now.AnswersAs != nil {
		key = now.AnswersAs
	}
	if now.Promise != nil {
		fingerprint = now.Promise(fingerprint)
	}
	signed, err := offer.SealAnswer(key, job, string(answer), fingerprint)
	if err == nil && now.Answer != nil {
		signed = now.Answer(job, sent, signed)
	}
	return conn, signed, err
}
