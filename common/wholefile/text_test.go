package wholefile

import (
	"errors"
	"testing"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{"": "", "a\n": "a\n", "\ufeffa": "a", "\ufeff\ufeffa": "\ufeffa", "a\ufeff": "a\ufeff"} {
		if got, err := Text([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"\xff\xfea\x00", "\xfe\xff\x00a"} {
		if _, err := Text([]byte(in)); !errors.Is(err, ErrUTF16) {
			t.Errorf("%q: %v", in, err)
		}
	}
}
