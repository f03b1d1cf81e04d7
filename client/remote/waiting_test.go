package remote

import (
	"math"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
)

func TestWaitingInWords(t *testing.T) {
	t.Parallel()
	const s, m, h = time.Second, time.Minute, time.Hour
	for _, tt := range []struct {
		position int
		estimate time.Duration
		want     string
	}{
		{0, 0, ""}, {0, m, ""}, {-1, m, ""},
		{1, 0, "1st in line"}, {2, 0, "2nd in line"}, {3, 0, "3rd in line"}, {4, 0, "4th in line"},
		{10, 0, "10th in line"}, {11, 0, "11th in line"}, {12, 0, "12th in line"}, {13, 0, "13th in line"}, {14, 0, "14th in line"},
		{21, 0, "21st in line"}, {22, 0, "22nd in line"}, {23, 0, "23rd in line"}, {100, 0, "100th in line"}, {101, 0, "101st in line"},
		{111, 0, "111th in line"}, {112, 0, "112th in line"}, {113, 0, "113th in line"}, {121, 0, "121st in line"},
		{3, s, "3rd in line, less than a minute"}, {3, 59 * s, "3rd in line, less than a minute"},
		{3, m, "3rd in line, about 1 min"}, {3, 89 * s, "3rd in line, about 1 min"}, {3, 90 * s, "3rd in line, about 2 min"},
		{3, 2 * m, "3rd in line, about 2 min"}, {3, 9*m + 40*s, "3rd in line, about 10 min"},
		{3, 12 * m, "3rd in line, about 10 min"}, {3, 13 * m, "3rd in line, about 15 min"}, {3, 59 * m, "3rd in line, about 1 h"},
		{3, h, "3rd in line, about 1 h"}, {3, h + 12*m, "3rd in line, about 1 h 10 min"}, {3, h + 56*m, "3rd in line, about 2 h"},
		{3, 11*h + 40*m, "3rd in line, about 12 h"}, {3, 23 * h, "3rd in line, about 23 h"}, {3, 24 * h, "3rd in line, more than a day"},
	} {
		if got := (Waiting{tt.position, tt.estimate}).String(); got != tt.want {
			t.Errorf("%d, %v: %q, want %q", tt.position, tt.estimate, got, tt.want)
		}
	}
}

// TestWaitingWithAbsurdNumbers: the text is valid for every number that a broker sends.
func TestWaitingWithAbsurdNumbers(t *testing.T) {
	t.Parallel()
	for _, n := range []int{math.MinInt, -1, 0} {
		if got := newWaiting(&api.Waiting{Position: n, EstimateSecs: n}); got != (Waiting{}) {
			t.Errorf("%d: %+v", n, got)
		}
	}
	if got := newWaiting(&api.Waiting{Position: math.MaxInt, EstimateSecs: math.MaxInt}); got.Estimate != maxEstimate || got.String() == "" {
		t.Errorf("%+v", got)
	}
}
