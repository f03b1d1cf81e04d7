package server

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"time"

	"github.com/farforge/farforge/common/api"
)

// events serves GET /signaling/{job_id}/events: it blocks until the other end
// has sent a candidate that the asking one has not seen.
func (s *Server) events(w *response, r *http.Request) error {
	agent, err := s.endOf(r)
	if err != nil {
		return err
	}
	held, err := wait(r, s.cfg.MaxWait)
	if err != nil {
		return err
	}
	seen := 0
	if text := r.URL.Query().Get(api.AfterParam); text != "" {
		if seen, err = strconv.Atoi(text); err != nil || seen < 0 {
			return malformed(api.AfterParam + ": it is the number of the last event, or 0")
		}
	}
	hold(w, held)
	mail, err := s.mail.Wait(r.Context(), r.PathValue("job_id"), agent, seen, held)
	if err != nil {
		return mailProblem(err)
	}
	if len(mail) == 0 {
		w.result = "nothing"
		if s.draining.Load() {
			w.retryAfter(time.Second)
		}
		w.empty()
		return nil
	}
	var list []api.Event
	for size, i := 2, 0; i < len(mail); i++ {
		size += base64.StdEncoding.EncodedLen(len(mail[i].Body)) + 64
		if size > api.MaxBody && i > 0 {
			break // the rest comes with the next request
		}
		list = append(list, api.Event{Seq: mail[i].Seq, Candidate: mail[i].Body})
	}
	return w.json(http.StatusOK, list)
}
