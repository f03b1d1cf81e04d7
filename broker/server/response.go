package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/farforge/farforge/common/api"
)

// response is a ResponseWriter that remembers how the request ended.
type response struct {
	http.ResponseWriter
	status int
	// result is the label in logs and metrics: a code, or "ok".
	result string
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// json sends v. It returns the error of a write that fails; nothing more can be
// sent then.
func (w *response) json(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the response: %w", err)
	}
	return w.send(status, api.TypeJSON, body)
}

func (w *response) send(status int, mediaType string, body []byte) error {
	h := w.Header()
	values := [2]string{mediaType, strconv.Itoa(len(body))}
	h["Content-Type"], h["Content-Length"] = values[0:1:1], values[1:2:2]
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

func (w *response) empty() { w.WriteHeader(http.StatusNoContent) }

// problemJSON sends v as a problem document.
func (w *response) problemJSON(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the response: %w", err)
	}
	return w.send(status, api.TypeProblem, body)
}

// retryAfter sets the header; the least is one second.
func (w *response) retryAfter(d time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(seconds(d)))
}

func seconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }

var noStore, noSniff, closing = []string{"no-store"}, []string{"nosniff"}, []string{"close"}

// wrap turns a handlerFunc into an http.Handler that logs, counts and
// recovers from panics.
func (s *Server) wrap(name string, serve handlerFunc) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &response{ResponseWriter: rw}
		start := s.now()
		h := w.Header() // with slices that all responses share: none is ever changed
		h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
		if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
			// A request that has Content-Length, too, may be an attempt to smuggle
			// another one (RFC 9112, section 6.1), and net/http does not report it.
			h["Connection"] = closing
		}
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				s.cfg.Logger.Error("a request handler panicked", "route", name, "panic", v, "stack", string(debug.Stack()))
				if w.status == 0 {
					s.fail(w, r, problem(http.StatusInternalServerError, api.CodeInternal, "the broker failed; this is a fault of the broker"))
				}
			}
			if w.result == "" {
				w.result = "ok"
			}
			s.metrics.requests.WithLabelValues(name, w.result).Inc()
			s.log(r, name, w, s.now().Sub(start))
		}()
		if err := serve(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// fail sends err as a problem, unless a response has begun. A client that is gone
// gets one, too: it may have closed only its sending side, or a proxy may wait for
// the response, and an error must never become an empty 200.
func (s *Server) fail(w *response, r *http.Request, err error) {
	var p *api.Problem
	gone := r.Context().Err() != nil
	switch isProblem := errors.As(err, &p); {
	case w.status != 0 && gone:
		w.result = "gone"
		return
	case w.status != 0:
		w.result = "cut_off"
		return
	case isProblem:
	case gone:
		p = problem(http.StatusRequestTimeout, api.CodeMalformed, "the request was canceled by its sender")
	default:
		s.cfg.Logger.Error("a request failed inside the broker", "err", err)
		p = problem(http.StatusInternalServerError, api.CodeInternal, "the broker failed; this is a fault of the broker")
	}
	if w.result = string(p.Code); gone {
		w.result = "gone"
		w.Header().Set("Connection", "close")
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	body, err := json.Marshal(p)
	if err == nil {
		err = w.send(p.Status, api.TypeProblem, body)
	}
	if err != nil {
		s.cfg.Logger.Debug("an error response was not delivered", "err", err)
	}
}

// log writes one line a request, with its route instead of its path.
func (s *Server) log(r *http.Request, name string, w *response, took time.Duration) {
	if !s.cfg.Logger.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	attrs := []any{"route", name, "status", w.status, "result", w.result, "took", took}
	if id := r.PathValue("job_id"); id != "" {
		attrs = append(attrs, "job", id)
	}
	if s.cfg.UnsafeLogging {
		attrs = append(attrs, "peer", s.addressOf(r))
	}
	s.cfg.Logger.Debug("request", attrs...)
}
