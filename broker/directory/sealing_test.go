package directory

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/identity"
)

// keyed returns a key and its line of the list.
func keyed(t *testing.T, name string) (*identity.Key, identity.Authorized) {
	t.Helper()
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "key"), name)
	if err != nil {
		t.Fatal(err)
	}
	who, err := identity.ParseAuthorizedLine(key.PublicLine(name))
	if err != nil {
		t.Fatal(err)
	}
	return key, who
}

func bound(t *testing.T, by *identity.Key) *api.SealingKey {
	t.Helper()
	key, err := envelope.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sealing, err := key.Bind(by)
	if err != nil {
		t.Fatal(err)
	}
	return sealing
}

func TestOnlyAnAgentsOwnSealingKeyIsPublished(t *testing.T) {
	key, who := keyed(t, "bench-1")
	other, _ := keyed(t, "other")
	d := New([]identity.Authorized{who})
	update := func(sealing *api.SealingKey) (*api.SealingKey, error) {
		err := d.Update(who.Fingerprint, &api.Status{Sealing: sealing}, time.Now())
		a, _ := d.Agent(who.Fingerprint)
		if strings.Count(a.PublicKey, " ") != 1 || !strings.HasPrefix(key.PublicLine("bench-1"), a.PublicKey+" ") {
			t.Errorf("its public key is %q", a.PublicKey)
		}
		return a.Sealing, err
	}
	own, own2, foreign := bound(t, key), bound(t, key), bound(t, other)
	if got, err := update(own); err != nil || got == nil || *got != *own {
		t.Errorf("its own key: %v, %v", got, err)
	}
	if got, err := update(own2); err != nil || got == nil || *got != *own2 {
		t.Errorf("another of its own: %v, %v", got, err)
	}
	if got, err := update(foreign); err == nil || !strings.Contains(err.Error(), "the agent has not signed the sealing key") || got != nil {
		t.Errorf("a foreign key: %v, %v", got, err)
	}
	same := *foreign
	if got, err := update(&same); err != nil || got != nil {
		t.Errorf("the foreign key again: %v, %v; it is reported once", got, err)
	}
	swapped := &api.SealingKey{Recipient: foreign.Recipient, Signature: own.Signature}
	if got, err := update(swapped); err == nil || got != nil {
		t.Errorf("its signature on another key: %v, %v", got, err)
	}
	if got, err := update(&api.SealingKey{Recipient: "age1", Signature: own.Signature}); err == nil || got != nil {
		t.Errorf("no age key: %v, %v", got, err)
	}
	if got, err := update(own); err != nil || got == nil {
		t.Errorf("its own again: %v, %v", got, err)
	}
	renamed := who
	renamed.Name = "bench-2"
	d.Replace([]identity.Authorized{renamed})
	if a, _ := d.Agent(who.Fingerprint); a.Sealing == nil || a.PublicKey == "" {
		t.Error("it lost its keys when it was renamed")
	}
	if got, err := update(nil); err != nil || got != nil {
		t.Errorf("none: %v, %v", got, err)
	}
}
