package capacity

import (
	"encoding/json"
	"testing"
)

func TestCoreShare(t *testing.T) {
	for text, want := range map[string]struct {
		whole int
		shown string
		valid bool
	}{
		"2.0":  {2, "2", true},
		"2":    {2, "2", true},
		"0.5":  {1, "0.5", true},
		"0.01": {1, "0.01", true},
		"2.25": {3, "2.25", true},
		"1e1":  {10, "10", true},
		"1024": {1024, "1024", true},

		"0":       {1, "0", false},
		"-1":      {1, "-1", false},
		"0.001":   {1, "0.001", false},
		"1024.01": {1025, "1024.01", false},
	} {
		var s CoreShare
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		if s.Whole() != want.whole || s.String() != want.shown || s.Valid() != want.valid {
			t.Errorf("%s: %d whole cores, shown as %s, valid %v", text, s.Whole(), s, s.Valid())
		}
	}
}
