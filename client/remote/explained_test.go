package remote

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

// TestExplainedOnce: the reasons come before the wait, and not again for a renewed grant.
func TestExplainedOnce(t *testing.T) {
	t.Parallel()
	why := []api.Explained{{Name: "bench", Score: api.Score{Expected: 61.9, Success: 0.97, Relay: true}}, {Name: "anvil"}}
	for _, tt := range []struct {
		name        string
		ask         bool
		explanation []api.Explained
		want        []string
	}{
		{"requested", true, why, []string{"granted", "explained", "granted", "waiting", "connected"}},
		{"not requested", false, why, []string{"granted", "granted", "waiting", "connected"}},
		{"by an older broker", true, nil, []string{"granted", "unexplained", "granted", "waiting", "connected"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
			b.Set(func(s *fakefarm.Settings) {
				s.Explanation, s.Expired, s.Waits = tt.explanation, 1, []api.Waiting{{Position: 1}}
			})
			x := newTry(t, b)
			x.job.Need.Explain = tt.ask
			if _, err := Run(t.Context(), x.job); err != nil {
				t.Fatal(err)
			}
			var order []string
			for _, e := range x.events {
				switch e := e.(type) {
				case Granted:
					order = append(order, "granted")
				case Explained:
					order = append(order, "explained")
					if e.JobID == "" || !reflect.DeepEqual(e.Candidates, why) {
						t.Errorf("explained: %+v", e)
					}
				case Waiting:
					order = append(order, "waiting")
				case Connected:
					order = append(order, "connected")
				case Notice:
					if e.Code == NoticeUnexplained {
						order = append(order, string(e.Code))
					}
				}
			}
			if !slices.Equal(order, tt.want) {
				t.Errorf("events %q, want %q", order, tt.want)
			}
		})
	}
}

// TestErrorNamesThePlaceInLine: the error has the last known place.
func TestErrorNamesThePlaceInLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		last api.Waiting
		want []string
	}{
		{api.Waiting{Position: 3, EstimateSecs: 120}, []string{"all able agents are busy; the job was 3rd in line, about 2 min from its start", "wait longer with --queue-timeout"}},
		{api.Waiting{Position: 1}, []string{"all able agents are busy; the job was 1st in line", "wait longer with --queue-timeout"}},
		{api.Waiting{}, []string{"wait longer with --queue-timeout"}},
	} {
		t.Run(fmt.Sprint(tt.last.Position), func(t *testing.T) {
			t.Parallel()
			b := fakefarm.New(t, nil)
			b.Set(func(s *fakefarm.Settings) { s.Waits = []api.Waiting{{Position: 9}, tt.last} })
			x := newTry(t, b)
			x.job.QueueTimeout = 5 * time.Second
			x.job.Events = func(e Event) {
				if e == Event(newWaiting(&tt.last)) {
					b.Set(func(s *fakefarm.Settings) { s.Hold = true })
				}
			}
			_, err := Run(t.Context(), x.job)
			var e *cli.Error
			if !errors.As(err, &e) || e.Exit != cli.NoAgent || err.Error() != "no agent took the job within 5s" || !slices.Equal(e.Hints, tt.want) {
				t.Errorf("%v, %+v", err, e)
			}
		})
	}
}
