package jobs

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/grant"
)

// Ticket is a grant that was verified: the right to act as the client of a job.
type Ticket struct {
	Token string // as signed
	Grant *grant.Grant
}

// Grant chooses the candidates for a job of the user at the address, and makes the
// job's record and grant.
func (b *Board) Grant(user users.User, from netip.Addr, req *api.GrantRequest) (*api.GrantResponse, error) {
	if b.Draining() {
		return nil, ErrDraining
	}
	if err := b.cfg.Limits.check(req); err != nil {
		return nil, err
	}
	now := b.now()
	if refusal := b.cfg.Accounts.Grant(user.ID, user.Limits, time.Duration(req.TimeoutSecs)*time.Second, now); refusal != nil {
		return nil, &QuotaError{refusal}
	}
	need, err := scheduler.NeedOf(req)
	if err != nil {
		return nil, fmt.Errorf("read the need: %w", err) // Validate has accepted it
	}
	need.Sealed = b.cfg.RequireSealed
	ranked, err := b.farm.choose(need, now)
	if err != nil {
		return nil, err
	}
	b.opinion.reorder(ranked, opinionOf(user.ID, from), need.Project, now)
	id, err := ulid.New(ulid.Timestamp(now), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a job id: %w", err)
	}
	g := &grant.Grant{
		Issuer: b.cfg.Origin, Subject: user.ID, JobID: id.String(),
		PeerFingerprint: req.PeerFingerprint, Channels: req.RequiredChannels,
		CPUCores: req.CPUCores, MemoryMB: req.MemoryMB, SessionSecs: req.TimeoutSecs,
		Target: req.Target, Toolchain: req.Toolchain, Project: req.Project,
		Agents: make([]string, 0, len(ranked)),
	}
	response := &api.GrantResponse{JobID: g.JobID, Candidates: make([]api.Candidate, len(ranked)), ICEServers: b.iceServers(g, from)}
	for i := range ranked {
		g.Agents = append(g.Agents, ranked[i].Fingerprint)
		response.Candidates[i] = ranked[i].Candidate
		response.SameNetwork = response.SameNetwork || b.network.beside(ranked[i].Fingerprint, from)
	}
	t, err := b.signer.sign(g)
	if err != nil {
		return nil, err
	}
	j := newJob(b, g.JobID, now)
	j.choice, j.chosen = ranked, now
	j.grant(t, need, from)
	if _, err := b.jobs.add(j); err != nil {
		return nil, err
	}
	b.metrics.chose(&ranked[0], b.farm.Warmth(ranked[0].Fingerprint, need))
	response.Grant, response.ExpiresAt = t.Token, g.ExpiresAt
	if req.Explain {
		response.Explanation = explain(ranked)
	}
	return response, nil
}

// check applies the operator's policy.
func (l *Limits) check(r *api.GrantRequest) error {
	switch most := int(l.Session / time.Second); {
	case len(r.RequiredChannels) > l.Channels:
		return &LimitError{"required_channels", len(r.RequiredChannels), l.Channels, ""}
	case r.CPUCores > capacity.CoreShare(l.Cores):
		return &LimitError{"cpu_cores", r.CPUCores, l.Cores, ""}
	case r.MemoryMB > l.MemoryMB:
		return &LimitError{"memory_mb", r.MemoryMB, l.MemoryMB, " MiB"}
	case r.TimeoutSecs > most:
		return &LimitError{"timeout_secs", r.TimeoutSecs, most, " s"}
	}
	return nil
}

// signer signs and verifies grants. Its methods may be called concurrently.
type signer struct {
	now  func() time.Time
	keys atomic.Pointer[keys]
}

// keys are those of a signer at one time.
type keys struct {
	signer *grant.Signer
	set    *grant.KeySet
}

// UseKeys changes the keys under the running broker. Grants that were signed
// before stay valid while their key is in the set.
func (b *Board) UseKeys(with *grant.Signer, set *grant.KeySet) { b.signer.keys.Store(&keys{with, set}) }

// sign gives the grant a new life and signs it. The grant does not change any more
// from then on.
func (s *signer) sign(g *grant.Grant) (Ticket, error) {
	// Tokens count in whole seconds.
	g.IssuedAt = s.now().UTC().Truncate(time.Second)
	g.ExpiresAt = g.IssuedAt.Add(api.GrantLife)
	token, err := s.keys.Load().signer.Sign(g)
	return Ticket{token, g}, err
}

// renew signs a copy of the grant with a new life.
func (s *signer) renew(g *grant.Grant) (Ticket, error) {
	fresh := *g
	return s.sign(&fresh)
}

// Redeem verifies a token as this broker's grant for the job. The grant may have
// expired, but not longer ago than late.
func (b *Board) Redeem(token, jobID string, late time.Duration) (Ticket, error) {
	t, err := b.verify(token, jobID, late)
	switch {
	case err != nil:
		return Ticket{}, tokenError(err)
	case t.Grant.Issuer != b.cfg.Origin:
		return Ticket{}, ErrForeignGrant
	case t.Grant.JobID != jobID:
		return Ticket{}, ErrOtherJob
	}
	return t, nil
}

// verify does not check the signature of a token that is in the job's record.
func (b *Board) verify(token, jobID string, late time.Duration) (Ticket, error) {
	now := b.now()
	if j, err := b.jobs.find(jobID); err == nil {
		t := ticketOf(j)
		if t.Grant != nil && subtle.ConstantTimeCompare([]byte(t.Token), []byte(token)) == 1 && now.Before(t.Grant.ExpiresAt.Add(late)) {
			return t, nil
		}
	}
	g, err := b.signer.keys.Load().set.Verify(token, now, late)
	return Ticket{token, g}, err
}

// ticketOf returns the newest grant of the job.
func ticketOf(j *Job) Ticket {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ticket
}

func sessionOf(g *grant.Grant) time.Duration { return time.Duration(g.SessionSecs) * time.Second }

// needOf reads the need of a grant that another process of this broker has made.
func needOf(g *grant.Grant) (scheduler.Need, error) {
	need, err := scheduler.NeedOf(&api.GrantRequest{
		Target: g.Target, Toolchain: g.Toolchain, Project: g.Project, CPUCores: g.CPUCores, MemoryMB: g.MemoryMB,
	})
	if err != nil {
		return need, &TokenError{fmt.Errorf("the grant's toolchain: %w", err)}
	}
	return need, nil
}
