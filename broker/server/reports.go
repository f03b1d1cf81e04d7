package server

import (
	"net/http"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// report serves POST /agents/report. The broker forgets a job soon after its
// answer, long before a build is done, so that it cannot know whose job it was.
// What it can know it checks: the signature, that the job id is as old as a job
// can be, that no other agent holds the job, and that none is counted twice.
func (s *Server) report(w *response, r *http.Request) error {
	who, err := s.agentOf(r)
	if err != nil {
		return err
	}
	var rep api.Report
	if err := readJSON(w, r, &rep); err != nil {
		return err
	}
	id, err := ulid.ParseStrict(rep.JobID)
	if err != nil {
		return malformed("job_id: not a ULID")
	}
	if err := identity.Verify(who.Key, identity.NamespaceReport, rep.SignedBytes(), rep.Signature); err != nil {
		return problem(http.StatusUnauthorized, api.CodeBadSignature, "the report is not signed by the agent's key")
	}
	age := s.now().Sub(ulid.Time(id.Time()))
	if age < -time.Minute || age > s.cfg.Limits.Session+maxQueued {
		return problem(http.StatusNotFound, api.CodeUnknownJob, "the job is too old, or from the future")
	}
	holder, known := s.meet.Holder(rep.JobID)
	if known && holder != who.Fingerprint {
		return problem(http.StatusForbidden, api.CodeForbidden, "the job is not this agent's")
	}
	first := s.release(&rep, who.Fingerprint) // before others get the news
	s.ended(&rep, who.Fingerprint)
	s.reportedOn(&rep, who.Fingerprint)
	if first {
		s.cfg.Directory.Report(who.Fingerprint, rep.Outcome)
		s.metrics.outcomes.WithLabelValues(string(rep.Outcome)).Inc()
	}
	w.empty()
	return nil
}

// maxQueued is how long a job may have waited before its session began, for
// the purpose of judging reports and confirmations.
const maxQueued = time.Hour
