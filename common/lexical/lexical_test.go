package lexical

import (
	"regexp"
	"strings"
	"testing"
)

// forms are what the functions do, as regular expressions.
var forms = []struct {
	name  string
	check func(string) bool
	form  *regexp.Regexp
}{
	{"Name", Name, regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._+-]{0,63}\z`)},
	{"Word", func(s string) bool { return Word(s, "_.-", 8) }, regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9_.-]{0,7}\z`)},
	{"Only", func(s string) bool { return Only(s, ".*~^<>=!,| +-", 64) }, regexp.MustCompile(`\A[A-Za-z0-9.*~^<>=!,| +-]{1,64}\z`)},
	{"Hex", func(s string) bool { return Hex(s, 64) }, regexp.MustCompile(`\A[0-9a-f]{64}\z`)},
	{"Fingerprint", Fingerprint, regexp.MustCompile(`\A[0-9A-F]{2}(:[0-9A-F]{2}){31}\z`)},
}

var samples = []string{
	"", "a", "-a", ".", "esp32c3", "esp-idf", "a b", "ä", "a\n", "\xff", "12345678", "123456789", ">=5.1,<5.4 || ~6",
	strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("A", 64), strings.Repeat("g", 64),
	strings.Repeat("AB:", 31) + "AB", strings.Repeat("ab:", 31) + "ab", strings.Repeat("AB:", 32), strings.Repeat("AB-", 31) + "AB",
}

func TestForms(t *testing.T) {
	for _, f := range forms {
		for _, s := range samples {
			if got, want := f.check(s), f.form.MatchString(s); got != want {
				t.Errorf("%s(%q) is %v", f.name, s, got)
			}
		}
	}
}

func FuzzForms(f *testing.F) {
	for _, s := range samples {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, f := range forms {
			if got, want := f.check(s), f.form.MatchString(s); got != want {
				t.Errorf("%s(%q) is %v", f.name, s, got)
			}
		}
	})
}
