package keyring

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/grant"
)

const origin = "https://broker.example.org"

func open(t testing.TB, dir string) *Ring {
	t.Helper()
	r, err := Open(dir, origin, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// grantBy signs a grant with the ring's present key.
func grantBy(t testing.TB, r *Ring) string {
	t.Helper()
	now := time.Now()
	token, err := r.Current().Signer.Sign(&grant.Grant{
		Issuer: origin, Subject: "anyone", JobID: "j", IssuedAt: now, ExpiresAt: now.Add(time.Minute),
		PeerFingerprint: strings.TrimSuffix(strings.Repeat("AB:", 32), ":"),
		Agents:          []string{"SHA256:x"}, Channels: []string{"espctl"}, CPUCores: 1, MemoryMB: 1, SessionSecs: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// published returns the key set as agents parse it.
func published(t testing.TB, r *Ring) *grant.Published {
	t.Helper()
	data, err := json.Marshal(r.Current().Published)
	if err != nil {
		t.Fatal(err)
	}
	p, err := grant.ParsePublished(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func rotate(t testing.TB, dir string, overlap time.Duration, now time.Time) Key {
	t.Helper()
	_, fresh, err := Rotate(dir, overlap, now)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

func TestRotation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	r := open(t, dir)
	var changes []Current
	r.OnChange(func(c Current) { changes = append(changes, c) })
	secret := bytes.Clone(r.Secret())
	pinned := published(t, r).Keys // by an agent at its first contact
	before := grantBy(t, r)
	if r.Check(); len(changes) != 0 {
		t.Error("Check reported a change that did not happen")
	}

	now := time.Now()
	oldSeed := bytes.Clone(r.state.signing().Seed)
	fresh := rotate(t, dir, time.Hour, now)
	if r.Check(); len(changes) != 1 || grant.KeyID(changes[0].Signer.Public()) != fresh.ID {
		t.Fatalf("%d changes", len(changes))
	}
	p := published(t, r)
	if ids := p.Keys.KeyIDs(); len(ids) != 2 || ids[0] != fresh.ID {
		t.Errorf("published: %v", ids)
	}
	after := grantBy(t, r)
	followed, err := pinned.Follow(p)
	if err != nil {
		t.Fatal(err)
	}
	for what, token := range map[string]string{"before": before, "after": after} {
		if _, err := followed.Verify(token, time.Now(), 0); err != nil {
			t.Errorf("the grant from %s the rotation: %v", what, err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, keysFile))
	if err != nil || seedIn(data, oldSeed) || !seedIn(data, r.state.signing().Seed) {
		t.Error("the old private half is still there")
	}

	// After the overlap only the new key is left. A new agent and one that missed
	// the overlap can follow.
	r.now = func() time.Time { return now.Add(time.Hour) }
	if r.Check(); len(changes) != 2 || len(published(t, r).Keys.Keys()) != 1 || len(published(t, r).Rotations) != 1 {
		t.Fatalf("%d changes; published: %+v", len(changes), published(t, r))
	}
	if r.Check(); len(changes) != 2 {
		t.Error("the same change was reported twice")
	}
	if _, err := published(t, r).Keys.Verify(before, time.Now(), 0); !errors.Is(err, grant.ErrSignature) {
		t.Errorf("a grant of a retired key: %v", err)
	}
	if followed, err = pinned.Follow(published(t, r)); err != nil || len(followed.Keys()) != 1 {
		t.Errorf("an agent that missed the overlap: %v", err)
	}
	again := open(t, dir)
	if !bytes.Equal(again.Secret(), secret) || !bytes.Equal(r.Secret(), secret) {
		t.Error("the session secret changed with the key")
	}
	if grant.KeyID(again.Current().Signer.Public()) != fresh.ID {
		t.Error("another key signs after a restart")
	}
	keys, rotations, err := List(dir, r.now())
	if err != nil || len(keys) != 1 || keys[0].ID != fresh.ID || !keys[0].Retires.IsZero() || rotations != 1 {
		t.Errorf("list: %+v, %d, %v", keys, rotations, err)
	}
}

func seedIn(file, seed []byte) bool {
	text, _ := json.Marshal(seed)
	return bytes.Contains(file, text)
}

func TestRotationsAreBounded(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	now := time.Now()
	for range grant.MaxKeys - 1 {
		rotate(t, dir, time.Hour, now)
	}
	if _, _, err := Rotate(dir, time.Hour, now); !errors.Is(err, ErrTooMany) || !strings.Contains(err.Error(), "the next one retires at") {
		t.Errorf("one key too many: %v", err)
	}
	r.Reload()
	if n := len(published(t, r).Keys.Keys()); n != grant.MaxKeys {
		t.Errorf("%d keys are published", n)
	}
	for i := range maxRotations {
		rotate(t, dir, MinOverlap, now.Add(time.Duration(i+2)*time.Hour))
	}
	r.Reload()
	if n := len(published(t, r).Rotations); n != maxRotations {
		t.Errorf("%d rotations are published", n)
	}
	if _, _, err := Rotate(dir, time.Second, now); err == nil || !strings.Contains(err.Error(), "an overlap of 1s is shorter than 5m0s") {
		t.Errorf("a short overlap: %v", err)
	}
}

var errKilled = errors.New("killed")

// oldFolder makes the state folder of a broker before there were rotations.
func oldFolder(t *testing.T) (dir string, key ed25519.PrivateKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, oldKeyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, key
}

// After a crash at any step, the next start continues with the key that agents
// have pinned and the secret of the sessions.
func TestCrashesWhileConvertingAnOldFolder(t *testing.T) {
	steps := 0
	for crash := 1; ; crash++ {
		dir, key := oldFolder(t)
		n := 0
		err := founder{dir: dir, now: time.Now(), step: func(string) error {
			if n++; n == crash {
				return errKilled
			}
			return nil
		}}.found()
		if err == nil {
			break
		}
		steps++
		if !errors.Is(err, errKilled) {
			t.Fatalf("crash %d: %v", crash, err)
		}
		// A temporary file of a write that was killed.
		left := filepath.Join(dir, fmt.Sprintf(".%s.%d", keysFile, crash))
		if err := os.WriteFile(left, []byte("half a ke"), 0o600); err != nil {
			t.Fatal(err)
		}
		checkConverted(t, dir, key)
	}
	if steps != 3 {
		t.Errorf("%d steps were crashed before", steps)
	}
	dir, key := oldFolder(t)
	checkConverted(t, dir, key)
	checkConverted(t, dir, key)
}

func checkConverted(t *testing.T, dir string, key ed25519.PrivateKey) {
	t.Helper()
	r := open(t, dir)
	want, err := hkdf.Key(sha256.New, key.Seed(), nil, "farforge broker sessions v1", 32)
	if err != nil || !bytes.Equal(r.Secret(), want) {
		t.Error("earlier sessions are void")
	}
	if !r.Current().Signer.Public().Equal(key.Public()) {
		t.Error("a key signs that is not the pinned one")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Errorf("in the folder are %v", files)
	}
}

func TestCrashesWhileFounding(t *testing.T) {
	for crash := 1; crash <= 2; crash++ {
		dir := filepath.Join(t.TempDir(), "state")
		n := 0
		err := founder{dir: dir, now: time.Now(), step: func(string) error {
			if n++; n == crash {
				return errKilled
			}
			return nil
		}}.found()
		if !errors.Is(err, errKilled) {
			t.Fatalf("crash %d: %v", crash, err)
		}
		first := open(t, dir)
		second := open(t, dir)
		if !bytes.Equal(first.Secret(), second.Secret()) || !first.Current().Signer.Public().Equal(second.Current().Signer.Public()) {
			t.Error("each start has another key or secret")
		}
	}
}

// A rotation replaces one file: a crash leaves the old state and a temporary
// file, which the next start removes.
func TestCrashesWhileRotating(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	left := filepath.Join(dir, "."+keysFile+".123")
	if err := os.WriteFile(left, []byte(`{"seed":"half`), 0o600); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	if !again.Current().Signer.Public().Equal(r.Current().Signer.Public()) {
		t.Error("another key signs")
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Error("a half-written secret was left behind")
	}
}

func TestRefusals(t *testing.T) {
	good := t.TempDir()
	open(t, good)
	rotate(t, good, time.Hour, time.Now())
	data, err := os.ReadFile(filepath.Join(good, keysFile))
	if err != nil {
		t.Fatal(err)
	}
	spoiled := func(f func(*state)) []byte {
		s, err := parseState(data)
		if err != nil {
			t.Fatal(err)
		}
		f(s)
		out, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for want, text := range map[string][]byte{
		"invalid character":            []byte("rubbish"),
		"its version is 2":             spoiled(func(s *state) { s.Version = 2 }),
		"it holds 0 keys":              spoiled(func(s *state) { s.Keys = nil }),
		"65 rotations":                 spoiled(func(s *state) { s.Rotations = make([]string, 65) }),
		"key 1 is not an Ed25519 key":  spoiled(func(s *state) { s.Keys[0].Public = s.Keys[0].Public[1:] }),
		"lacks its private half":       spoiled(func(s *state) { s.Keys[1].Seed = nil }),
		"halves of the last key":       spoiled(func(s *state) { s.Keys[1].Seed[0] ^= 1 }),
		"key 1 does not sign, but has": spoiled(func(s *state) { s.Keys[0].Seed = s.Keys[1].Seed }),
		"or never retires":             spoiled(func(s *state) { s.Keys[0].Retires = time.Time{} }),
	} {
		if _, err := parseState(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}

	// A broken or readable file changes nothing in a running broker.
	var log bytes.Buffer
	r, err := Open(good, origin, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	signer := r.Current().Signer.Public()
	for want, spoil := range map[string]func(string) error{
		"invalid character": func(p string) error { return os.WriteFile(p, []byte("rubbish"), 0o600) },
		"run: chmod 600":    func(p string) error { return os.Chmod(p, 0o644) },
		"no such file":      os.Remove,
	} {
		if err := errors.Join(os.WriteFile(filepath.Join(good, keysFile), data, 0o600), os.Chmod(filepath.Join(good, keysFile), 0o600)); err != nil {
			t.Fatal(err)
		}
		r.Check()
		log.Reset()
		if err := spoil(filepath.Join(good, keysFile)); err != nil {
			t.Fatal(err)
		}
		r.Reload()
		if !strings.Contains(log.String(), want) || !strings.Contains(log.String(), "the old one stays in use") || !r.Current().Signer.Public().Equal(signer) {
			t.Errorf("want %q: %s", want, log.String())
		}
	}

	open777 := t.TempDir()
	if err := os.Chmod(open777, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(open777, origin, r.log); err == nil || !strings.Contains(err.Error(), "run: chmod o-w "+open777) {
		t.Errorf("a folder that everybody can write: %v", err)
	}
	both, _ := oldFolder(t)
	if err := os.WriteFile(filepath.Join(both, keysFile), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(both, origin, r.log); err == nil || !strings.Contains(err.Error(), "hold different keys") {
		t.Errorf("two different keys: %v", err)
	}
}

func FuzzParseState(f *testing.F) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	data, err := (&state{Version: 1, Keys: []key{newKey(private, time.Now())}}).marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1,"keys":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseState(data)
		if err != nil {
			return
		}
		// Every accepted state can sign, and verifies its signatures.
		if id := grant.KeyID(s.signer().Public()); s.published().Keys.KeyIDs()[0] != id {
			t.Errorf("%s signs, but is not published first", id)
		}
		s.retire(time.Now())
		s.due()
	})
}

func FuzzParsePEM(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := parsePEM(data); err == nil && len(key.Seed()) != 32 {
			t.Errorf("a key of %d bytes", len(key))
		}
	})
}
