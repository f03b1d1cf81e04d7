package jobs

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/api"
)

// lines collects a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// TestEachJobHasOneLineInTheLog, in whatever way it ends.
func TestEachJobHasOneLineInTheLog(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(*testing.T, *rig)
		want string
	}{
		{"reported, and once more", func(t *testing.T, r *rig) {
			r.match(t)
			time.Sleep(500 * time.Millisecond)
			r.reported("1", "A", api.OutcomeBuildFailed)
			r.reported("1", "A", api.OutcomeBuildFailed)
		}, "outcome=build_failed duration=500ms agent=A"},
		{"never reported", func(t *testing.T, r *rig) { r.match(t) }, "outcome=unreported duration=1m1.001s agent=A"},
		{"refused after the answer", func(t *testing.T, r *rig) {
			r.match(t)
			r.reported("1", "A", api.OutcomeRefused)
		}, "outcome=refused duration=0s agent=A"},
		{"no answer", func(t *testing.T, r *rig) {
			o := goOffer(t.Context(), r, offer("1", time.Minute, "A"))
			synctest.Wait()
			wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
			want(t, "offer", o, "", ErrNoAnswer)
		}, "outcome=no_answer duration=3s"},
		{"given up", func(t *testing.T, r *rig) {
			ctx, hangUp := context.WithCancel(t.Context())
			o := goOffer(ctx, r, offer("1", time.Minute, "A"))
			synctest.Wait()
			hangUp()
			<-o
		}, "outcome=given_up duration=1m"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log lines
				r := newRig(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				tt.play(t, r)
				time.Sleep(longest)
				synctest.Wait()
				r.Close()
				text := regexp.MustCompile(`(?m)^.*msg="job ended".*$`).FindAllString(log.text.String(), -1)
				if len(text) != 1 || !strings.Contains(text[0], "job="+r.id("1")+" user=anyone ") || !strings.Contains(text[0], tt.want) {
					t.Errorf("the log has %q, want one line with %s", text, tt.want)
				}
			})
		})
	}
}

// match plays job 1 until its client has the answer of A.
func (r *rig) match(t *testing.T) {
	t.Helper()
	o := goOffer(t.Context(), r, offer("1", time.Minute, "A"))
	synctest.Wait()
	wantJob(t, "park", goPark(t.Context(), r, poll("A", 0)), "1")
	answerOK(t, r, "1", "A")
	want(t, "offer", o, "answer", nil)
}
