package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/farforge/farforge/common/api"
)

const trickledJob = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

func trickleOf(c *Client) Trickle {
	return Trickle{Client: c, JobID: trickledJob, Token: func(context.Context) (string, error) { return "token", nil }}
}

// list returns candidates like a peer.
func list(all ...string) func(context.Context, int) ([]byte, error) {
	return func(_ context.Context, i int) ([]byte, error) {
		if i >= len(all) {
			return nil, io.EOF
		}
		return []byte(all[i]), nil
	}
}

func TestTrickleSendsAllOverFailures(t *testing.T) {
	var mu sync.Mutex
	got, failures := map[string]int{}, 3
	c := broker(t, map[string]http.HandlerFunc{"POST " + api.PathCandidate: func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if r.PathValue("job_id") != trickledJob || r.Header.Get("Authorization") != "Bearer token" {
			t.Errorf("%s with %q", r.URL, r.Header.Get("Authorization"))
		}
		if failures--; failures >= 0 {
			reply(w, http.StatusInternalServerError, api.Problem{Status: 500, Code: api.CodeInternal})
			return
		}
		got[string(body)]++
		w.WriteHeader(http.StatusNoContent)
	}})
	want := []string{"a", "b", "c", "d", "e", "f"}
	if err := trickleOf(c).Send(t.Context(), list(want...)); err != nil {
		t.Fatal(err)
	}
	for _, body := range want {
		if got[body] != 1 {
			t.Errorf("%s arrived %d times", body, got[body])
		}
	}
}

func TestTrickleStopsAtARefusal(t *testing.T) {
	c := broker(t, map[string]http.HandlerFunc{"/": func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusTooManyRequests, api.Problem{Status: 429, Code: api.CodeTooFast})
	}})
	var p *api.Problem
	if err := trickleOf(c).Send(t.Context(), list("a")); !errors.As(err, &p) || p.Code != api.CodeTooFast {
		t.Errorf("send: %v", err)
	}
	if err := trickleOf(c).Receive(t.Context(), nil); !errors.As(err, &p) {
		t.Errorf("receive: %v", err)
	}
}

// TestTrickleReceivesInOrder: events arrive in several responses; one response is
// empty, and one is garbled.
func TestTrickleReceivesInOrder(t *testing.T) {
	var asked []string
	c := broker(t, map[string]http.HandlerFunc{"GET " + api.PathEvents: func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get(api.AfterParam))
		if r.URL.Query().Get(api.WaitParam) == "" {
			t.Error("the request has no wait")
		}
		switch len(asked) {
		case 1:
			w.WriteHeader(http.StatusNoContent)
		case 2:
			_, _ = w.Write([]byte("{"))
		case 3:
			_ = json.NewEncoder(w).Encode([]api.Event{{Seq: 1, Candidate: []byte("a")}, {Seq: 2, Candidate: []byte("b")}})
		default:
			_ = json.NewEncoder(w).Encode([]api.Event{{Seq: 3, Candidate: []byte("end")}, {Seq: 4, Candidate: []byte("beyond")}})
		}
	}})
	var got []string
	err := trickleOf(c).Receive(t.Context(), func(candidate []byte) bool {
		got = append(got, string(candidate))
		return string(candidate) == "end"
	})
	if err != nil || !slices.Equal(got, []string{"a", "b", "end"}) {
		t.Errorf("%q, %v", got, err)
	}
	if want := []string{"0", "0", "0", "2"}; !slices.Equal(asked, want) {
		t.Errorf("asked after %q, want %q", asked, want)
	}
}

func TestTrickleEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := broker(t, map[string]http.HandlerFunc{"/": func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}})
	if err := trickleOf(c).Receive(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("receive: %v", err)
	}
	if err := trickleOf(c).Send(ctx, list("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("send: %v", fmt.Sprint(err))
	}
}
