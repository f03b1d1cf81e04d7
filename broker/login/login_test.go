package login

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

const origin = "https://broker.example.org"

func newKey(t *testing.T) *identity.Key {
	t.Helper()
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "key"), "")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newLogin returns a Login whose only agent has the key.
func newLogin(t *testing.T, agent *identity.Key) *Login {
	t.Helper()
	listed, err := identity.ParseAuthorizedLine(agent.PublicLine("bench-1"))
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{
		Origin: origin, Secret: make([]byte, 32), Users: &users.Registry{},
		Agent: func(fingerprint string) (identity.Authorized, bool) {
			return listed, fingerprint == listed.Fingerprint
		},
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
}

// request returns a session request for the shown key, signed by the signer.
func request(t *testing.T, s *Sessions, shown, signer *identity.Key) *api.SessionRequest {
	t.Helper()
	nonce := make([]byte, api.NonceSize)
	rand.Read(nonce)
	line := shown.PublicLine("")
	hello, err := s.Hello(&api.HelloRequest{PublicKey: line, Nonce: nonce})
	if err != nil {
		t.Fatal(err)
	}
	signed := identity.Challenge{Role: s.tokens.Role, Origin: hello.Origin, Challenge: hello.Challenge, Nonce: nonce, Fingerprint: shown.Fingerprint()}
	signature, err := signer.Sign(identity.NamespaceSession, signed.SignedBytes())
	if err != nil {
		t.Fatal(err)
	}
	return &api.SessionRequest{PublicKey: line, Nonce: nonce, Challenge: hello.Challenge, Signature: signature}
}

func wantRefusal(t *testing.T, err error, kind Kind, detail string) *Error {
	t.Helper()
	refused, ok := errors.AsType[*Error](err)
	if !ok || refused.Kind != kind || !strings.Contains(refused.Detail, detail) {
		t.Fatalf("%#v; want %v %q", err, kind, detail)
	}
	return refused
}

func TestAnAgentLogsIn(t *testing.T) {
	key := newKey(t)
	l := newLogin(t, key)
	req := request(t, l.Agents, key, key)
	opened, err := l.Agents.Open(req)
	if err != nil || opened.Name != "bench-1" {
		t.Fatalf("%+v, %v", opened, err)
	}
	who, session, err := l.Agent([]string{"Bearer " + opened.Session})
	if err != nil || who.Name != "bench-1" || session != opened.Session {
		t.Errorf("%+v, %q, %v", who, session, err)
	}
	_, err = l.Agents.Open(req)
	wantRefusal(t, err, BadToken, "used already")
	_, err = l.User(t.Context(), []string{"Bearer " + opened.Session})
	wantRefusal(t, err, BadToken, users.ErrUnknown.Error())
	_, _, err = l.Agent(nil)
	wantRefusal(t, err, NoToken, "no bearer token")
	_, _, err = l.Agent([]string{"Bearer x"})
	wantRefusal(t, err, BadToken, ErrForged.Error())
}

func TestARevokedAgentIsRefused(t *testing.T) {
	key, gone := newKey(t), newKey(t)
	l := newLogin(t, key)
	session, err := l.Agents.tokens.Session(gone.Fingerprint(), time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Agent([]string{"Bearer " + session}); !errors.Is(err, ErrUnlisted) {
		t.Error(err)
	}
}

func TestAFullMemoryRefusesPolitely(t *testing.T) {
	key := newKey(t)
	l := newLogin(t, key)
	l.Agents.redeemed = newRedeemed(1)
	if _, err := l.Agents.Open(request(t, l.Agents, key, key)); err != nil {
		t.Fatal(err)
	}
	_, err := l.Agents.Open(request(t, l.Agents, key, key))
	if refused := wantRefusal(t, err, TooMany, "sessions"); refused.RetryAfter == 0 {
		t.Errorf("%+v", refused)
	}
}

// Whether a key is listed shows neither in the response nor in the work. The
// test counts signature checks, because the time on a busy machine proves nothing.
func TestUnknownKeysCostTheSame(t *testing.T) {
	listed, stranger := newKey(t), newKey(t)
	l := newLogin(t, listed)
	checks, with := 0, ""
	l.Agents.verify = func(key ssh.PublicKey, namespace string, message []byte, signature string) error {
		checks++
		with = ssh.FingerprintSHA256(key)
		return identity.Verify(key, namespace, message, signature)
	}
	var first *Error
	for _, tt := range []struct {
		what          string
		shown, signer *identity.Key
		garbage       bool
	}{
		{"a listed key with another's signature", listed, stranger, false},
		{"an unknown key with its own signature", stranger, stranger, false},
		{"an unknown key with another's signature", stranger, listed, false},
		{"a listed key without a signature", listed, listed, true},
		{"an unknown key without a signature", stranger, stranger, true},
	} {
		req := request(t, l.Agents, tt.shown, tt.signer)
		if tt.garbage {
			req.Signature = "garbage"
		}
		checks = 0
		_, err := l.Agents.Open(req)
		refused := wantRefusal(t, err, BadSignature, "")
		refused.Cause = nil // which is for the log only
		if first == nil {
			first = refused
		}
		if !reflect.DeepEqual(first, refused) {
			t.Errorf("%s gets %+v, others %+v", tt.what, refused, first)
		}
		if checks != 1 || with != tt.shown.Fingerprint() {
			t.Errorf("%s: %d checks, with the key %v; want one, with the shown key", tt.what, checks, with)
		}
	}
}

func TestKindsHaveLabels(t *testing.T) {
	labels := map[string]bool{}
	for k := Malformed; k <= Unavailable; k++ {
		labels[k.String()] = true
	}
	if len(labels) != int(Unavailable)+1 {
		t.Errorf("%v", labels)
	}
}
