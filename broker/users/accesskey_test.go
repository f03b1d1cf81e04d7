package users

import (
	"fmt"
	"strings"
	"testing"
)

func TestAccessKeysAreRecognizedAndHidden(t *testing.T) {
	key := NewAccessKey()
	text := key.Reveal()
	again, err := ParseAccessKey(text)
	if err != nil || again != key || len(key.ID()) != 16 || !LooksLikeAccessKey(text) {
		t.Fatalf("%q: %v", text, err)
	}
	secret := text[strings.LastIndex(text, "_")+1:]
	if raw, err := alphabet.DecodeString(secret); err != nil || len(raw) != 32 {
		t.Errorf("the secret has %d bytes: %v", len(raw), err)
	}
	for _, shown := range []string{fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %s", key, key, key, key)} {
		if strings.Contains(shown, secret) || !strings.Contains(shown, key.ID()) {
			t.Errorf("printed as %s", shown)
		}
	}
	if other := NewAccessKey(); other.ID() == key.ID() || other.Hash() == key.Hash() {
		t.Error("two keys are alike")
	}
}

func TestMalformedAccessKeys(t *testing.T) {
	good := NewAccessKey().Reveal()
	for name, text := range map[string]string{
		"nothing": "", "the prefix": "ff_", "upper case": strings.ToUpper(good), "a space in front": " " + good,
		"a line break": good + "\n", "one character less": good[:len(good)-1], "one more": good + "a",
		"another alphabet": good[:len(good)-1] + "1", "two in a row": good + good, "no secret": good[:20],
	} {
		if _, err := ParseAccessKey(text); err == nil || strings.Contains(err.Error(), good) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key is valid in exactly one spelling, and no error contains it.
func FuzzAccessKey(f *testing.F) {
	good := "ff_" + strings.Repeat("a", 16) + "_" + strings.Repeat("b", 52)
	f.Add(good)
	f.Add(good + "\n")
	f.Add("ff_a_b")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseAccessKey(text)
		if err != nil {
			return
		}
		if key.Reveal() != text || len(text) != 72 || !idForm.MatchString(key.ID()) {
			t.Errorf("%q was read as %q", text, key.Reveal())
		}
	})
}
