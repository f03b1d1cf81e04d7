// Package operator lets the operator of a machine ask a running agent for its
// state, and drain it, through a socket in the agent's state folder.
//
//	proxy-agent status ── GET /status ──▶ ┐
//	                                      ├ state/operator/socket ── proxy-agent run
//	proxy-agent drain ─── POST /drain ──▶ ┘
//
// Only the agent's user can open the socket's folder. Every exchange is
// one HTTP request of a few kilobytes.
package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

// State is an agent's report about itself.
type State struct {
	Name    string    `json:"name"`
	Broker  string    `json:"broker"`
	Started time.Time `json:"started"`
	// Status is the status that the agent's polls carry.
	Status *api.Status `json:"status"`
}

const (
	// maxResponse bounds a response, in bytes.
	maxResponse = 1 << 20
	// requestTime bounds a request on either side.
	requestTime = 10 * time.Second
)

// socket returns the path of the socket below the agent's state folder.
func socket(stateDir string) string { return filepath.Join(stateDir, "operator", "socket") }

// Server serves the socket. Close it.
type Server struct {
	http   *http.Server
	served chan struct{}
}

// Serve listens on the socket in the state folder, which no other agent may use.
// state returns the agent's state; drain makes it drain, and may be called more
// than once. Both are called concurrently.
func Serve(stateDir string, state func() State, drain func()) (*Server, error) {
	path := socket(stateDir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the operator's socket: %w", err)
	}
	// An agent that was killed leaves its socket.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("make the operator's socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("make the operator's socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(state())
	})
	mux.HandleFunc("POST /drain", func(w http.ResponseWriter, _ *http.Request) {
		drain()
		w.WriteHeader(http.StatusNoContent)
	})
	s := &Server{served: make(chan struct{}), http: &http.Server{
		Handler: mux, ReadTimeout: requestTime, WriteTimeout: requestTime, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l) // until Close
	}()
	return s, nil
}

// Close ends the server and removes the socket.
func (s *Server) Close() {
	_ = s.http.Close()
	<-s.served
}

// Status asks the agent with this state folder for its state.
func Status(ctx context.Context, stateDir string) (*State, error) {
	body, err := ask(ctx, stateDir, http.MethodGet, "/status")
	if err != nil {
		return nil, err
	}
	var s State
	if err := json.Unmarshal(body, &s); err != nil || s.Status == nil {
		return nil, cli.Failf(cli.LostAgent, "the agent's answer cannot be read: %v", err).
			Hint("the agent may have another version than this command; restart it")
	}
	return &s, nil
}

// Drain makes the agent with this state folder drain.
func Drain(ctx context.Context, stateDir string) error {
	_, err := ask(ctx, stateDir, http.MethodPost, "/drain")
	return err
}

// ErrNotRunning is wrapped by the error for a state folder that no agent uses.
var ErrNotRunning = errors.New("no agent is running")

func ask(ctx context.Context, stateDir, method, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket(stateDir))
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, nil)
	if err != nil {
		return nil, cli.Fail(cli.Usage, err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, cli.Failf(cli.LostAgent, "%w with the state folder %s", ErrNotRunning, stateDir).
			Hint("start one:  proxy-agent run", "name another folder with --state-dir")
	case err != nil:
		return nil, cli.Failf(cli.LostAgent, "ask the agent: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("it answers %s", resp.Status)
	}
	if err != nil {
		return nil, cli.Failf(cli.LostAgent, "ask the agent: %w", err)
	}
	return body, nil
}
