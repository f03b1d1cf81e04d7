package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/farforge/farforge/broker/jobs"
	"github.com/farforge/farforge/common/api"
)

// clients serves the requests of clients, and those of both ends of a job.
type clients struct{ *Server }

func (s clients) routes() []route {
	return []route{
		{http.MethodPost, api.PathUserHello, "user_hello", s.limited(s.hello(s.login.Users))},
		{http.MethodPost, api.PathUserSession, "user_session", s.limited(s.session(s.login.Users))},
		{http.MethodPost, api.PathGrantRequest, "grant", s.limited(s.grant)},
		{http.MethodPost, api.PathOffer, "offer", s.offer},
		{http.MethodPost, api.PathCandidate, "candidate", s.candidate},
		{http.MethodGet, api.PathEvents, "events", s.events},
		{http.MethodPost, api.PathConfirmation, "confirmation", s.confirmation},
	}
}

// grant serves POST /grant/request.
func (s clients) grant(w *response, r *http.Request) error {
	if s.board.Draining() {
		return drainingProblem()
	}
	user, err := s.userOf(r)
	if err != nil {
		return err
	}
	var req api.GrantRequest
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	granted, err := s.board.Grant(user, s.addressOf(r), &req)
	if err != nil {
		return s.problemOf(err)
	}
	return w.json(http.StatusOK, granted)
}

// offer serves POST /signaling/{job_id}/offer: it blocks until the answer.
func (s clients) offer(w *response, r *http.Request) error {
	ticket, err := s.ticketOf(r, 0)
	if err != nil {
		return err
	}
	// A claim may outlive the wait by the time to answer, and both together stay
	// within the time that a request may be held.
	held, err := wait(r, max(s.cfg.MaxWait-s.cfg.AnswerTimeout, 0))
	if err != nil {
		return err
	}
	body, err := readOpaque(w, r, "offer")
	if err != nil {
		return err
	}
	hold(w, held+s.cfg.AnswerTimeout)
	answer, waiting, err := s.board.Offer(r.Context(), ticket, body, held)
	switch {
	case err != nil:
		return s.problemOf(err)
	case waiting != nil:
		w.result = "waiting"
		if waiting.RetryAfter > 0 {
			w.retryAfter(waiting.RetryAfter)
		}
		return w.problemJSON(http.StatusAccepted, &waiting.Waiting)
	}
	w.result = "answered"
	return w.send(http.StatusOK, api.TypeOpaque, answer)
}

// candidate serves POST /signaling/{job_id}/candidate, for both ends.
func (s clients) candidate(w *response, r *http.Request) error {
	end, err := s.endOf(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, api.MaxCandidate, api.TypeOpaque)
	if err == nil && len(body) == 0 {
		err = malformed("the candidate is empty")
	}
	if err != nil {
		return err
	}
	if err := s.board.Candidate(end, body); err != nil {
		return s.problemOf(err)
	}
	w.empty()
	return nil
}

// events serves GET /signaling/{job_id}/events, for both ends: it blocks until
// there is an event that this end does not have.
func (s clients) events(w *response, r *http.Request) error {
	end, err := s.endOf(r)
	if err != nil {
		return err
	}
	held, err := wait(r, s.cfg.MaxWait)
	if err != nil {
		return err
	}
	after := 0
	if text := r.URL.Query().Get(api.AfterParam); text != "" {
		if after, err = strconv.Atoi(text); err != nil || after < 0 {
			return malformed(api.AfterParam + ": it is the number of the last event, or 0")
		}
	}
	hold(w, held)
	events, err := s.board.Events(r.Context(), end, after, held)
	if err != nil {
		return s.problemOf(err)
	}
	if len(events) == 0 {
		w.result = "nothing"
		if s.board.Draining() {
			w.retryAfter(time.Second)
		}
		w.empty()
		return nil
	}
	return w.json(http.StatusOK, events)
}

// confirmation serves POST /signaling/{job_id}/confirmation.
func (s clients) confirmation(w *response, r *http.Request) error {
	ticket, err := s.ticketOf(r, s.board.ConfirmationLife())
	if err != nil {
		return err
	}
	var confirmation api.Confirmation
	if err := readJSON(w, r, &confirmation); err != nil {
		return err
	}
	if err := s.board.Confirm(ticket, s.addressOf(r), &confirmation); err != nil {
		return s.problemOf(err)
	}
	w.empty()
	return nil
}

// ticketOf verifies the grant that the request carries, as this broker's and for
// the job in its path. It may have expired, but not longer ago than late.
func (s *Server) ticketOf(r *http.Request, late time.Duration) (jobs.Ticket, error) {
	token, err := bearer(r)
	if err != nil {
		return jobs.Ticket{}, err
	}
	t, err := s.board.Redeem(token, r.PathValue("job_id"), late)
	return t, s.problemOf(err)
}

// endOf returns the end of the job in the path that sends the request. A grant is
// a JWT and so has dots; a session has none. A grant is accepted for a while after
// it has expired: connecting may take longer than the time to redeem it.
func (s *Server) endOf(r *http.Request) (jobs.End, error) {
	end := jobs.End{JobID: r.PathValue("job_id")}
	token, err := bearer(r)
	if err != nil {
		return end, err
	}
	if strings.Contains(token, ".") {
		end.Ticket, err = s.ticketOf(r, api.JobMemory)
		return end, err
	}
	who, _, err := s.agentSession(r)
	end.Agent = who.Fingerprint
	return end, err
}
