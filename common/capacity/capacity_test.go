package capacity

import (
	"encoding/json"
	"testing"
)

func TestCapacity(t *testing.T) {
	whole := Capacity{8, 1000}
	for _, tt := range []struct {
		need  Capacity
		fits  bool
		left  Capacity
		times int
	}{
		{Capacity{}, true, Capacity{8, 1000}, 8},
		{Capacity{2, 100}, true, Capacity{6, 900}, 4},
		{Capacity{2, 400}, true, Capacity{6, 600}, 2},
		{Capacity{8, 1000}, true, Capacity{}, 1},
		{Capacity{9, 1}, false, Capacity{0, 999}, 0},
		{Capacity{1, 1001}, false, Capacity{7, 0}, 0},
	} {
		if fits, left, times := whole.Fits(tt.need), whole.Minus(tt.need), whole.Times(tt.need); fits != tt.fits || left != tt.left || times != tt.times {
			t.Errorf("need %+v: fits %v, leaves %+v, runs %d times; want %v, %+v, %d", tt.need, fits, left, times, tt.fits, tt.left, tt.times)
		}
		if tt.fits && tt.left.Plus(tt.need) != whole {
			t.Errorf("%+v plus %+v is not the whole", tt.left, tt.need)
		}
	}
	if got := (Capacity{1, 900}).Min(Capacity{4, 100}); got != (Capacity{1, 100}) {
		t.Errorf("minimum: %+v", got)
	}
}

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
