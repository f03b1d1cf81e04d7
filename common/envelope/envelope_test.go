package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

const (
	offerText  = "v=0 c=IN IP4 192.0.2.7"
	answerText = "v=0 c=IN IP4 192.0.2.9"
	dtls       = "AB:CD"
)

// agent is an agent as the broker presents it.
type agent struct {
	key       *identity.Key
	sealing   *Key
	candidate api.Candidate
}

func newAgent(t testing.TB, name string) agent {
	t.Helper()
	dir := t.TempDir()
	key, err := identity.GenerateKey(filepath.Join(dir, "key"), name)
	if err != nil {
		t.Fatal(err)
	}
	sealing, err := LoadOrGenerateKey(filepath.Join(dir, "sealing"))
	if err != nil {
		t.Fatal(err)
	}
	bound, err := sealing.Bind(key)
	if err != nil {
		t.Fatal(err)
	}
	return agent{key, sealing, api.Candidate{
		Fingerprint: key.Fingerprint(), Name: name, PublicKey: key.PublicLine(""), Sealing: bound,
	}}
}

func plainOffer(t testing.TB, sdp string, candidates []api.Candidate) *Offer {
	t.Helper()
	offer, err := PlainOffer(sdp, candidates)
	if err != nil {
		t.Fatal(err)
	}
	return offer
}

func (a agent) answer(t testing.TB, jobID string, body []byte) []byte {
	t.Helper()
	got, err := OpenOffer(a.sealing, body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := got.SealAnswer(a.key, jobID, answerText, dtls)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestSealedThereAndBack(t *testing.T) {
	a, b := newAgent(t, "a"), newAgent(t, "b")
	candidates := []api.Candidate{a.candidate, b.candidate}
	offer, err := SealOffer(offerText, candidates)
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []agent{a, b} {
		body := who.answer(t, "J", offer.Body)
		for name, seen := range map[string][]byte{"offer": offer.Body, "answer": body} {
			if !Sealed(seen) || bytes.Contains(seen, []byte("192.0.2")) || bytes.Contains(seen, []byte("sdp")) {
				t.Fatalf("the %s is readable on its way", name)
			}
			if len(seen) > api.MaxOffer {
				t.Fatalf("the %s is too long", name)
			}
		}
		answer, err := offer.OpenAnswer("J", body)
		if err != nil {
			t.Fatal(err)
		}
		if answer.SDP != answerText || answer.Candidate.Name != who.candidate.Name || answer.DTLSFingerprint != dtls {
			t.Fatalf("got %s from %s with %s", answer.SDP, answer.Candidate.Name, answer.DTLSFingerprint)
		}
	}
}

func TestPlainThereAndBack(t *testing.T) {
	a := newAgent(t, "a")
	offer := plainOffer(t, offerText, []api.Candidate{a.candidate})
	body := a.answer(t, "J", offer.Body)
	if Sealed(body) {
		t.Fatal("a plain offer was answered with a sealed answer, which the client cannot open")
	}
	var browser struct{ Type, SDP string }
	if err := json.Unmarshal(body, &browser); err != nil || browser.Type != "answer" {
		t.Fatal("a browser could not read the answer", err)
	}
	if _, err := offer.OpenAnswer("J", body); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyTheCandidatesCanOpen(t *testing.T) {
	a, stranger := newAgent(t, "a"), newAgent(t, "stranger")
	offer, err := SealOffer(offerText, []api.Candidate{a.candidate})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOffer(stranger.sealing, offer.Body); err == nil {
		t.Fatal("a stranger opened the offer")
	}
	for i := range offer.Body {
		spoiled := bytes.Clone(offer.Body)
		spoiled[i] ^= 1
		if got, err := OpenOffer(a.sealing, spoiled); err == nil && got.Sealed {
			t.Fatalf("byte %d can be changed unnoticed", i)
		}
	}
}

func TestOpenOfferRefusesWhatIsNoOffer(t *testing.T) {
	a := newAgent(t, "a")
	sealed := func(plain string) []byte {
		body, err := seal([]byte(plain), a.sealing.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	for want, bodies := range map[string][][]byte{
		"not a session description": {nil, []byte("v=0"), sealed("v=0"), sealed("")},
		`is "answer"`:               {[]byte(`{"type":"answer","sdp":"x"}`), sealed(`{"type":"answer","sdp":"x","reply_to":"age1"}`)},
		`is ""`:                     {[]byte(`{"sdp":"x"}`), []byte("null")},
		"no key to reply to":        {sealed(`{"type":"offer","sdp":"x"}`)},
		"at most":                   {[]byte(`{"type":"offer","sdp":"` + strings.Repeat("x", api.MaxOffer) + `"}`)},
	} {
		for _, body := range bodies {
			if _, err := OpenOffer(a.sealing, body); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.40q: %v, want %s", body, err, want)
			}
		}
	}
}

func TestCandidatesThatAreNotSealedTo(t *testing.T) {
	a, evil := newAgent(t, "a"), newAgent(t, "evil")
	for name, spoil := range map[string]func(*api.Candidate){
		"no sealing key":   func(c *api.Candidate) { c.Sealing = nil },
		"the broker's own": func(c *api.Candidate) { c.Sealing = evil.candidate.Sealing },
		"a swapped recipient": func(c *api.Candidate) {
			c.Sealing = &api.SealingKey{Recipient: evil.sealing.Recipient(), Signature: c.Sealing.Signature}
		},
		"another public key":   func(c *api.Candidate) { c.PublicKey = evil.candidate.PublicKey },
		"no public key":        func(c *api.Candidate) { c.PublicKey = "" },
		"a recipient not age1": func(c *api.Candidate) { c.Sealing = &api.SealingKey{Recipient: "x", Signature: c.Sealing.Signature} },
	} {
		c := a.candidate
		spoil(&c)
		if _, err := SealOffer(offerText, []api.Candidate{c}); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := SealOffer(offerText, nil); err == nil {
		t.Error("an offer was sealed without recipients")
	}
}

// TestABrokerInTheMiddle replaces the messages in each direction as far as a broker
// can.
func TestABrokerInTheMiddle(t *testing.T) {
	a, evil := newAgent(t, "a"), newAgent(t, "evil")
	otherOffer := strings.Replace(offerText, "192.0.2.7", "198.51.100.1", 1)
	swapped := func(body []byte) []byte {
		return bytes.Replace(body, []byte("192.0.2.9"), []byte("198.51.100.1"), 1)
	}
	for _, sealed := range []bool{false, true} {
		offer := plainOffer(t, offerText, []api.Candidate{a.candidate})
		if sealed {
			var err error
			if offer, err = SealOffer(offerText, []api.Candidate{a.candidate}); err != nil {
				t.Fatal(err)
			}
		}
		// Without the keys, a broker can only make an offer of its own.
		own := plainOffer(t, otherOffer, nil)
		resealed := own.Body
		if sealed {
			o, err := SealOffer(otherOffer, []api.Candidate{a.candidate})
			if err != nil {
				t.Fatal(err)
			}
			resealed = o.Body
		}
		attacks := map[string][]byte{
			"answer to another offer": a.answer(t, "J", resealed),
			"answer to another job":   a.answer(t, "K", offer.Body),
			"not signed":              []byte(`{"type":"answer","sdp":"x"}`),
			"an offer":                own.Body,
			"no JSON":                 []byte("x"),
			"empty":                   nil,
		}
		if !sealed {
			attacks["signed by another agent"] = evil.answer(t, "J", offer.Body)
			attacks["another SDP"] = swapped(a.answer(t, "J", offer.Body))
			attacks["another DTLS certificate"] = bytes.Replace(a.answer(t, "J", offer.Body), []byte(dtls), []byte("AB:CE"), 1)
		}
		for name, body := range attacks {
			if _, err := offer.OpenAnswer("J", body); !errors.Is(err, ErrUntrusted) {
				t.Errorf("sealed %v: %s: %v", sealed, name, err)
			}
		}
	}
}

func TestSealingKeyStaysInItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "sealing")
	first, err := LoadOrGenerateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadOrGenerateKey(path)
	if err != nil || first.Recipient() != second.Recipient() {
		t.Fatalf("the key changed: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrGenerateKey(path); err == nil {
		t.Fatal("a key that others can read was taken")
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("AGE-SECRET-KEY-1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrGenerateKey(path); err == nil {
		t.Fatal("half a key was taken")
	}
}

func FuzzOpenOffer(f *testing.F) {
	a := newAgent(f, "a")
	offer, err := SealOffer(offerText, []api.Candidate{a.candidate})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(offer.Body)
	f.Add([]byte(`{"type":"offer","sdp":"v=0"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := OpenOffer(a.sealing, body)
		if err == nil && got.Sealed && !bytes.Equal(body, offer.Body) {
			t.Fatal("a changed envelope was opened")
		}
	})
}

func FuzzOpenAnswer(f *testing.F) {
	a := newAgent(f, "a")
	offer := plainOffer(f, offerText, []api.Candidate{a.candidate})
	good := a.answer(f, "J", offer.Body)
	f.Add(good)
	f.Fuzz(func(t *testing.T, body []byte) {
		answer, err := offer.OpenAnswer("J", body)
		if err == nil && answer.SDP != answerText {
			t.Fatalf("%q was accepted as the agent's", answer.SDP)
		}
	})
}
