package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/lexical"
)

func TestAuthorizedOptions(t *testing.T) {
	key := newKey(t).PublicLine("bench-1")
	utc := time.Date(2027, 12, 31, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		options string
		targets []string
		tags    []string
		expires time.Time
	}{
		{"", nil, nil, time.Time{}},
		{`targets="esp32" `, []string{"esp32"}, nil, time.Time{}},
		{`targets="esp32, esp32c3",expiry-time="20271231Z" `, []string{"esp32", "esp32c3"}, nil, utc},
		{`Expiry-Time="20271231" `, nil, nil, time.Date(2027, 12, 31, 0, 0, 0, 0, time.Local)},
		{`expiry-time="202712310230Z" `, nil, nil, utc.Add(150 * time.Minute)},
		{`expiry-time="20271231023005Z" `, nil, nil, utc.Add(150*time.Minute + 5*time.Second)},
		{`tags="eu,reviewed",targets="esp32" `, []string{"esp32"}, []string{"eu", "reviewed"}, time.Time{}},
	} {
		a, err := ParseAuthorizedEntry(tt.options + key)
		if err != nil || a.Name != "bench-1" || !slices.Equal(a.Targets, tt.targets) || !slices.Equal(a.Tags, tt.tags) || !a.Expires.Equal(tt.expires) {
			t.Errorf("%q: %+v, %v", tt.options, a, err)
		}
		if _, err := ParseAuthorizedLine(tt.options + key); (err == nil) != (tt.options == "") {
			t.Errorf("as a bare key, %q: %v", tt.options, err)
		}
	}
	a := Authorized{Expires: utc}
	if a.Expired(utc.Add(-time.Second)) || !a.Expired(utc) || (&Authorized{}).Expired(utc) {
		t.Error("it expires at another time")
	}
}

func TestAuthorizedRefusals(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t).PublicLine("bench-1")
	for want, line := range map[string]string{
		`the option "restrict" is unknown; targets, tags and expiry-time are known`: "restrict " + key,
		`the option "command" is unknown`:                                           `command="rm -rf /" ` + key,
		"it has the option targets twice":                                           `targets="a",targets="b" ` + key,
		`targets: "" is not a chip name`:                                            `targets="" ` + key,
		`targets: "../x" is not a chip name`:                                        `targets="esp32,../x" ` + key,
		`tags: "a b" is not a tag`:                                                  `tags="a b" ` + key,
		`the value of the option "targets" is not in double quotes`:                 `targets=esp32 ` + key,
		`expiry-time: "tomorrow" is not a time; write YYYYMMDD`:                     `expiry-time="tomorrow" ` + key,
		`"20271331" is not a time`:                                                  `expiry-time="20271331" ` + key,
		"not a public key":                                                          "rubbish",
		"fewer than 3072 bits":                                                      strings.TrimSpace(string(ssh.MarshalAuthorizedKey(weak))),
		"has control characters":                                                    key + "\x1b[2J",
		"is longer than 128 bytes":                                                  key + strings.Repeat("x", 128),
	} {
		_, err := ParseAuthorized([]byte("# a comment\n" + line + "\n"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: want an error with %q, got %v", line, want, err)
		}
	}
	for _, two := range []string{"rubbish\n" + key, key + "\n" + key, "# x\r" + key} {
		if _, err := ParseAuthorizedEntry(two); err == nil || !strings.Contains(err.Error(), "more than one line") {
			t.Errorf("%q: %v", two, err)
		}
	}
	if _, err := ParseAuthorized(make([]byte, MaxAuthorizedFile+1)); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("an oversized list: %v", err)
	}
}

// FuzzParseAuthorizedEntry: an accepted line is complete, and its options are obeyed.
func FuzzParseAuthorizedEntry(f *testing.F) {
	key := newKey(f).PublicLine("bench-1")
	for _, options := range []string{"", `targets="esp32,esp32c3" `, `tags="eu" `, `expiry-time="20271231Z",targets="a" `, `targets="a\"" `, `x="`, `,, `} {
		f.Add(options, "")
		f.Add(options, "\nx")
	}
	f.Fuzz(func(t *testing.T, options, behind string) {
		a, err := ParseAuthorizedEntry(options + key + behind)
		if err != nil {
			return
		}
		if a.Key == nil || a.Name == "" || len(a.Name) > maxName || a.Fingerprint != ssh.FingerprintSHA256(a.Key) {
			t.Errorf("incomplete: %+v", a)
		}
		for _, name := range slices.Concat(a.Targets, a.Tags) {
			if !lexical.Name(name) {
				t.Errorf("%q became the target or tag %q", options, name)
			}
		}
		if strings.TrimFunc(options, func(r rune) bool { return unicode.IsSpace(r) || r == ',' }) != "" && len(a.Targets)+len(a.Tags) == 0 && a.Expires.IsZero() && a.Name == "bench-1" {
			t.Errorf("the options %q were ignored", options)
		}
	})
}
