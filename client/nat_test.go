package main

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

func TestNATIsRemembered(t *testing.T) {
	state, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	const broker = "https://broker.example.org"
	if _, known := recallNAT(state, broker, time.Now()); known {
		t.Error("known before anything was probed")
	}
	learn := func(kind string, err error) {
		probed := make(chan struct{})
		stop := learnNAT(t.Context(), state, broker, func(context.Context) (string, error) {
			defer close(probed)
			return kind, err
		})
		<-probed
		stop()
	}
	learn("independent/port", nil)
	learn("", errors.New("no broker")) // the cached kind stays
	for name, c := range map[string]struct {
		broker string
		age    time.Duration
		known  bool
	}{
		"at once": {broker, time.Second, true}, "too old": {broker, natLasts + time.Minute, false},
		"from the future": {broker, -time.Hour, false}, "another broker": {"https://other.example.org", 0, false},
	} {
		kind, known := recallNAT(state, c.broker, time.Now().Add(c.age))
		if known != c.known || known && kind != "independent/port" {
			t.Errorf("%s: %q, %v", name, kind, known)
		}
	}
	if err := state.WriteFile(natFile, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, known := recallNAT(state, broker, time.Now()); known {
		t.Error("known from a broken file")
	}
	// The end of a job does not wait for the probe.
	stop := learnNAT(t.Context(), state, broker, func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() })
	stop()
}
