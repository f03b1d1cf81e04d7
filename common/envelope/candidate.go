package envelope

import (
	"fmt"

	"github.com/farforge/farforge/common/api"
)

// Candidates are sealed like the offer and the answer, to the same keys. Age
// authenticates no sender; a candidate is tied to its session by the name of the
// ICE session in it (usernameFragment), which is known only to those who have
// opened the sealed description. See common/peer.

// SealCandidate seals one of the client's ICE candidates to all candidate
// agents if the offer was sealed, and returns it unchanged otherwise.
func (o *Offer) SealCandidate(candidate []byte) ([]byte, error) {
	if o.reply == nil {
		return candidate, nil
	}
	recipients := make([]string, len(o.candidates))
	for i, c := range o.candidates {
		recipients[i] = c.Sealing.Recipient
	}
	return sealCandidate(candidate, recipients...)
}

// OpenCandidate opens one of the agent's candidates. A plain one for a sealed
// offer is an error that wraps ErrUntrusted.
func (o *Offer) OpenCandidate(body []byte) ([]byte, error) {
	return openCandidate(o.reply, body)
}

// SealCandidate seals one of the agent's ICE candidates to the client if its
// offer was sealed, and returns it unchanged otherwise.
func (r *Received) SealCandidate(candidate []byte) ([]byte, error) {
	if !r.Sealed {
		return candidate, nil
	}
	return sealCandidate(candidate, r.replyTo)
}

// OpenCandidate opens one of the client's candidates with the agent's sealing
// key. A plain one after a sealed offer is an error that wraps ErrUntrusted.
func (r *Received) OpenCandidate(key *Key, body []byte) ([]byte, error) {
	if !r.Sealed {
		key = nil
	}
	return openCandidate(key, body)
}

func sealCandidate(candidate []byte, recipients ...string) ([]byte, error) {
	body, err := seal(candidate, recipients...)
	if err == nil && len(body) > api.MaxCandidate {
		err = fmt.Errorf("seal the candidate: %d bytes, at most %d are allowed", len(body), api.MaxCandidate)
	}
	return body, err
}

// openCandidate opens a candidate with the key, which is nil if the job is not
// sealed.
func openCandidate(key *Key, body []byte) ([]byte, error) {
	switch {
	case len(body) > api.MaxCandidate:
		return nil, fmt.Errorf("open the candidate: it is %d bytes long, at most %d are allowed", len(body), api.MaxCandidate)
	case key == nil && Sealed(body):
		return nil, fmt.Errorf("open the candidate: it is sealed, and the offer was not")
	case key == nil:
		return body, nil
	case !Sealed(body):
		return nil, fmt.Errorf("%w: a plain candidate follows a sealed offer", ErrUntrusted)
	}
	return key.open(body)
}
