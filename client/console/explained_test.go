package console

import (
	"bytes"
	"os"
	"testing"

	"github.com/farforge/farforge/client/remote"
	"github.com/farforge/farforge/common/api"
)

func TestExplainedTable(t *testing.T) {
	explained := remote.Explained{JobID: "J", Candidates: []api.Explained{
		{Name: "quick", Score: api.Score{Expected: 61.9, Duration: 61, Lost: 30, Success: 0.97, Speed: 0.5, Warmth: 0.4, Luck: 1.05}},
		{Name: "schnell-über-alles", Score: api.Score{Expected: 4000, Wait: 3600, Duration: 9.2, Lost: 59.7, Success: 0.501, Speed: 1, Warmth: 1, Luck: 1, Relay: true, Shunned: true}},
		{Name: "bro\x1b[2Jken", Score: api.Score{Expected: 61e6, Duration: 0.5, Lost: 1e300, Success: 1e-6, Speed: 12.345, Warmth: 1, Luck: 1e300, Resting: true, Relay: true}},
	}}
	var out, err bytes.Buffer
	New(Options{Stdout: &out, Stderr: &err, Getenv: os.Getenv}).Event(explained)
	want := `AGENT                EXPECTED       WAIT      BUILD  SUCCESS     LOST   SPEED   WARM      LUCK
quick               1 min 2 s        0 s  1 min 1 s     97 %     30 s   ×0.50  ×0.40     ×1.05
schnell-über-alles  1 h 6 min  1 h 0 min      9.2 s     50 %    1 min   ×1.00  ×1.00     ×1.00  relay, shunned
broken                > 1 day        0 s      0.5 s      0 %  > 1 day  ×12.35  ×1.00  ×1000.00  resting, relay
EXPECTED is the time to a good result; SPEED, WARM and LUCK are factors in BUILD, below 1 is faster
`
	if err.String() != want || out.Len() > 0 {
		t.Errorf("stderr got\n%s\nwant\n%s\nstdout got %q", err.String(), want, out.String())
	}
	for _, o := range []Options{{Quiet: true}, {JSON: true}} {
		out.Reset()
		err.Reset()
		o.Stdout, o.Stderr, o.Getenv = &out, &err, os.Getenv
		New(o).Event(explained)
		if err.Len() > 0 || o.JSON != bytes.HasPrefix(out.Bytes(), []byte(`{"event":"explained","job_id":"J","candidates":[{"name":"quick",`)) || bytes.Count(out.Bytes(), []byte("\n")) > 1 {
			t.Errorf("%+v: stderr got %q, stdout %q", o, err.String(), out.String())
		}
	}
}

func TestSpans(t *testing.T) {
	for seconds, want := range map[float64]string{
		-1: "0 s", 0: "0 s", 0.04: "0.0 s", 1.25: "1.2 s", 9.94: "9.9 s", 9.96: "10 s", 59.4: "59 s", 59.6: "1 min", 61: "1 min 1 s",
		119.7: "2 min", 3599: "59 min 59 s", 3599.6: "1 h 0 min", 7500: "2 h 5 min", 86399: "23 h 59 min", 86400: "> 1 day", 1e300: "> 1 day",
	} {
		if got := span(seconds); got != want {
			t.Errorf("%v s is %q, want %q", seconds, got, want)
		}
	}
}
