package quota

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func TestLimitsAreWrittenAsTheyAreRead(t *testing.T) {
	for text, want := range map[string]Limits{
		"":                            {},
		"jobs=1":                      {Jobs: 1},
		"jobs=0 grants=0 sessions=0s": {Jobs: Unlimited, Grants: Unlimited, Sessions: Unlimited},
		"grants=10 sessions=4h":       {Grants: 10, Sessions: 4 * time.Hour},
		"sessions=4h30m":              {Sessions: 4*time.Hour + 30*time.Minute},
		"sessions=90m":                {Sessions: 90 * time.Minute},
		"sessions=10s":                {Sessions: 10 * time.Second},
	} {
		read := func(text string) (l Limits) {
			for word := range strings.FieldsSeq(text) {
				name, value, _ := strings.Cut(word, "=")
				if err := l.Set(name, value); err != nil {
					t.Errorf("%s: %v", text, err)
				}
			}
			return l
		}
		if got := read(text); got != want {
			t.Errorf("%s was read as %+v", text, got)
		}
		if again := read(want.String()); again != want {
			t.Errorf("%s was written %q", text, want)
		}
	}
	own := Limits{Jobs: 1, Grants: Unlimited}
	if got := own.Or(Limits{Jobs: 5, Grants: 5, Sessions: time.Hour}); got != (Limits{Jobs: 1, Grants: Unlimited, Sessions: time.Hour}) {
		t.Errorf("%+v", got)
	}
}
