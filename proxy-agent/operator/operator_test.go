package operator

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder returns a state folder whose path is short enough for a socket.
func folder(t *testing.T) string {
	dir, err := os.MkdirTemp("", "ff")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestStatusAndDrain(t *testing.T) {
	dir := folder(t)
	var drains atomic.Int32
	state := State{Name: "bench", Broker: "https://broker.example.org", Started: time.Now().UTC().Truncate(time.Second),
		Status: &api.Status{TotalCores: 4, FreeCores: 2, RunningJobs: []string{"01A"}}}
	s, err := Serve(dir, func() State { return state }, func() { drains.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := Status(t.Context(), dir)
	if err != nil || got.Name != "bench" || !got.Started.Equal(state.Started) || got.Status.FreeCores != 2 || len(got.Status.RunningJobs) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	for range 2 {
		if err := Drain(t.Context(), dir); err != nil {
			t.Error(err)
		}
	}
	if n := drains.Load(); n != 2 {
		t.Errorf("%d drains", n)
	}
	if info, err := os.Stat(filepath.Dir(socket(dir))); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder: %v, %v", info, err)
	}
}

func TestNotRunning(t *testing.T) {
	dir := folder(t)
	check := func(what string) {
		_, err := Status(t.Context(), dir)
		if !errors.Is(err, ErrNotRunning) || cli.Code(err) != cli.LostAgent || len(cli.Hints(err)) == 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("no agent ever ran")
	s, err := Serve(dir, func() State { return State{} }, func() {})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	check("the agent has ended")
	// A killed agent leaves its socket, and the next one takes it over.
	l, err := net.Listen("unix", socket(dir))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	check("the agent was killed")
	s, err = Serve(dir, func() State { return State{Status: &api.Status{}} }, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Status(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

func TestUnreadableAnswer(t *testing.T) {
	dir := folder(t)
	s, err := Serve(dir, func() State { return State{} }, func() {}) // without a status
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Status(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("got %v", err)
	}
}
