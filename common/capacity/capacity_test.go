package capacity

import "testing"

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
