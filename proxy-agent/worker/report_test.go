package worker

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
	"github.com/farforge/farforge/proxy-agent/session"
)

// TestStopShortensAReportUnderWay stops an agent that is reporting to a broker
// that is overloaded.
func TestStopShortensAReportUnderWay(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var tries atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
		stop()
	}))
	defer server.Close()
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "key"), "")
	if err != nil {
		t.Fatal(err)
	}
	broker, err := signaling.New(signaling.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	w := New(Config{Broker: broker, Key: key, Logger: slog.New(slog.DiscardHandler)})
	w.auth.session, w.auth.until = "session", time.Now().Add(time.Hour)
	began := time.Now()
	w.report(ctx, "01A", 1, session.Ending{Outcome: api.OutcomeSucceeded})
	if took := time.Since(began); took > reportTime/2 || tries.Load() == 0 {
		t.Errorf("after the stop it took %v and %d tries", took, tries.Load())
	}
}
