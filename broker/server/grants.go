package server

import (
	crand "crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/grant"
)

// grantRequest serves POST /grant/request.
func (s *Server) grantRequest(w *response, r *http.Request) error {
	if s.draining.Load() {
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
	if err := s.allow(&req); err != nil {
		return err
	}
	now := s.now()
	if refusal := s.cfg.Accounts.Grant(user.ID, user.Limits, time.Duration(req.TimeoutSecs)*time.Second, now); refusal != nil {
		return s.quotaProblem(refusal)
	}
	need, err := scheduler.NeedOf(&req)
	if err != nil {
		return malformed("toolchain: " + err.Error())
	}
	need.Sealed = s.cfg.RequireSealed
	ranked, unmet := s.choose(need, now)
	if unmet != nil {
		return unmetProblem(unmet)
	}
	place, near := s.placeOf(r), false
	s.match.spare(ranked, asker(user.ID, place), now)
	id, err := ulid.New(ulid.Timestamp(now), crand.Reader)
	if err != nil {
		return fmt.Errorf("make a job id: %w", err)
	}
	g := &grant.Grant{
		Issuer: s.cfg.Origin, Subject: user.ID, JobID: id.String(),
		PeerFingerprint: req.PeerFingerprint, Channels: req.RequiredChannels,
		CPUCores: req.CPUCores, MemoryMB: req.MemoryMB, SessionSecs: req.TimeoutSecs,
		Target: req.Target, Toolchain: req.Toolchain, Project: req.Project,
	}
	s.places.clients.first(g.JobID, place)
	candidates := make([]api.Candidate, len(ranked))
	for i := range ranked {
		candidates[i] = ranked[i].Candidate
		g.Agents = append(g.Agents, ranked[i].Fingerprint)
		near = near || s.places.beside(ranked[i].Fingerprint, place)
	}
	s.match.chosen.first(g.JobID, choice{need, ranked, now})
	s.metrics.stages.chose(&ranked[0], s.match.farm.Warmth(ranked[0].Fingerprint, need))
	token, err := s.sign(g)
	if err != nil {
		return err
	}
	granted := &api.GrantResponse{
		JobID: g.JobID, Grant: token, Candidates: candidates,
		ICEServers: s.iceServers(g), ExpiresAt: g.ExpiresAt, SameNetwork: near,
	}
	if req.Explain {
		granted.Explanation = explain(ranked)
	}
	return w.json(http.StatusOK, granted)
}

// allow applies the operator's policy.
func (s *Server) allow(r *api.GrantRequest) error {
	l := s.cfg.Limits
	over := func(what string, asked any, most int, unit string) error {
		return problem(http.StatusForbidden, api.CodeForbidden, fmt.Sprintf("%s: %v asked for, this broker grants at most %d%s", what, asked, most, unit))
	}
	switch most := int(l.Session / time.Second); {
	case len(r.RequiredChannels) > l.Channels:
		return over("required_channels", len(r.RequiredChannels), l.Channels, "")
	case r.CPUCores > capacity.CoreShare(l.Cores):
		return over("cpu_cores", r.CPUCores, l.Cores, "")
	case r.MemoryMB > l.MemoryMB:
		return over("memory_mb", r.MemoryMB, l.MemoryMB, " MiB")
	case r.TimeoutSecs > most:
		return over("timeout_secs", r.TimeoutSecs, most, " s")
	}
	return nil
}

// sign gives the grant a new life and signs it. The grant is remembered: it
// must not change any more.
func (s *Server) sign(g *grant.Grant) (string, error) {
	// Tokens count in whole seconds.
	g.IssuedAt = s.now().UTC().Truncate(time.Second)
	g.ExpiresAt = g.IssuedAt.Add(api.GrantLife)
	token, err := s.keys.Load().signer.Sign(g)
	if err == nil {
		s.issued.first(token, g)
	}
	return token, err
}

// verify returns the grant of a token, if it is one of ours and has not expired
// longer ago than late.
func (s *Server) verify(token string, late time.Duration) (*grant.Grant, error) {
	now := s.now()
	if g, ok := s.issued.of(token); ok && now.Before(g.ExpiresAt.Add(late)) {
		return g, nil
	}
	return s.keys.Load().set.Verify(token, now, late)
}

// renew signs a copy of the grant with a new life.
func (s *Server) renew(g *grant.Grant) (string, *grant.Grant, error) {
	fresh := *g
	token, err := s.sign(&fresh)
	return token, &fresh, err
}
