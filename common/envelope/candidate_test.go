package envelope

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
)

const candidateText = `{"candidate":"candidate:1 1 udp 1 192.0.2.7 9 typ host","usernameFragment":"u"}`

func TestCandidatesThereAndBack(t *testing.T) {
	agents := []api.Candidate{}
	var first agent
	for i, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} { // as many as a broker sends
		a := newAgent(t, name)
		if i == 0 {
			first = a
		}
		agents = append(agents, a.candidate)
	}
	offer, err := SealOffer(offerText, agents)
	if err != nil {
		t.Fatal(err)
	}
	received, err := OpenOffer(first.sealing, offer.Body)
	if err != nil {
		t.Fatal(err)
	}
	up, err := offer.SealCandidate([]byte(candidateText))
	if err != nil {
		t.Fatal(err)
	}
	down, err := received.SealCandidate([]byte(candidateText))
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range [][]byte{up, down} {
		if !Sealed(body) || bytes.Contains(body, []byte("192.0.2")) || len(body) > api.MaxCandidate {
			t.Errorf("%d bytes are readable on their way: %q", len(body), body)
		}
	}
	if got, err := received.OpenCandidate(first.sealing, up); err != nil || string(got) != candidateText {
		t.Errorf("the agent got %q, %v", got, err)
	}
	if got, err := offer.OpenCandidate(down); err != nil || string(got) != candidateText {
		t.Errorf("the client got %q, %v", got, err)
	}
	// A candidate opens only at the end that it is sealed to, and only unchanged.
	if _, err := offer.OpenCandidate(up); err == nil {
		t.Error("the client opened a candidate for agents")
	}
	for i := range down {
		bad := bytes.Clone(down)
		bad[i] ^= 1
		if got, err := offer.OpenCandidate(bad); err == nil && string(got) != candidateText {
			t.Errorf("with byte %d changed it reads %q", i, got)
		}
	}
	for _, plain := range []string{candidateText, ""} {
		if _, err := offer.OpenCandidate([]byte(plain)); !errors.Is(err, ErrUntrusted) {
			t.Errorf("plain %q: %v", plain, err)
		}
		if _, err := received.OpenCandidate(first.sealing, []byte(plain)); !errors.Is(err, ErrUntrusted) {
			t.Errorf("plain %q at the agent: %v", plain, err)
		}
	}
	if _, err := offer.SealCandidate([]byte(strings.Repeat("x", api.MaxCandidate))); err == nil {
		t.Error("a candidate that is too long was sealed")
	}
}

func TestPlainCandidates(t *testing.T) {
	a := newAgent(t, "a")
	offer := plainOffer(t, offerText, []api.Candidate{a.candidate})
	received, err := OpenOffer(a.sealing, offer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func([]byte) ([]byte, error){
		"client seals": offer.SealCandidate, "client opens": offer.OpenCandidate, "agent seals": received.SealCandidate,
		"agent opens": func(b []byte) ([]byte, error) { return received.OpenCandidate(a.sealing, b) },
	} {
		if got, err := f([]byte(candidateText)); err != nil || string(got) != candidateText {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := offer.OpenCandidate(ageMagic); err == nil {
		t.Error("a sealed candidate was accepted for a plain offer")
	}
}
