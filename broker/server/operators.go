package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// Services configures the API of operators.
type Services struct {
	// Token is the admin token; its holders are operators. At least 32 bytes.
	Token string
	// Agents is the list that /services/agents shows and changes.
	Agents *directory.File
}

// pathOneAgent is the path of one agent. Fingerprints may have slashes in them,
// which need no escape here. pathOneJob is the path of the explanation why one of
// the last jobs got its candidates.
const (
	pathOneAgent = api.PathServiceAgent + "/{fingerprint...}"
	pathOneJob   = "/services/jobs/{job_id}"
)

// operators serves the requests of operators.
type operators struct{ *Server }

// routes are served only if there is an admin token: else the paths do not exist.
func (s operators) routes() []route {
	if s.cfg.Services == nil {
		return nil
	}
	return []route{
		{http.MethodGet, api.PathServiceAgent, "services_agents", s.limited(s.only(s.listAgents))},
		{http.MethodPost, api.PathServiceAgent, "services_agents", s.limited(s.only(s.addAgent))},
		{http.MethodGet, pathOneAgent, "services_agent", s.limited(s.only(s.showAgent))},
		{http.MethodDelete, pathOneAgent, "services_agent", s.limited(s.only(s.removeAgent))},
		{http.MethodGet, api.PathServiceUsers, "services_users", s.limited(s.only(s.usage))},
		{http.MethodGet, pathOneJob, "services_job", s.limited(s.only(s.explainJob))},
	}
}

// only admits holders of the admin token. Digests are compared, so that the time
// of the response reveals nothing, not even the length of the token.
func (s operators) only(serve handlerFunc) handlerFunc {
	want := sha256.Sum256([]byte(s.cfg.Services.Token))
	return func(w *response, r *http.Request) error {
		token, err := bearer(r)
		if err != nil {
			return err
		}
		if got := sha256.Sum256([]byte(token)); subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			s.cfg.Logger.Warn("a request has a wrong admin token")
			return problem(http.StatusUnauthorized, api.CodeBadToken, "the admin token is wrong", "use the token in the broker's --admin-token-file")
		}
		return serve(w, r)
	}
}

// listAgents serves GET /services/agents.
func (s operators) listAgents(w *response, r *http.Request) error {
	return s.page(w, r, url.Values{}, func(a *directory.Agent) ([]byte, error) {
		return json.Marshal(s.listed(a))
	})
}

func (s operators) listed(a *directory.Agent) *api.ListedAgent {
	return &api.ListedAgent{
		Fingerprint: a.Fingerprint, Name: a.Name, PublicKey: a.PublicKey, Targets: a.Targets, Tags: a.Tags,
		Alive: a.Alive(s.now(), s.cfg.AgentGrace),
	}
}

// showAgent serves GET /services/agents/{fingerprint}.
func (s operators) showAgent(w *response, r *http.Request) error {
	a, ok := s.cfg.Directory.Agent(r.PathValue("fingerprint"))
	if !ok {
		return noSuchAgent()
	}
	return w.json(http.StatusOK, s.listed(&a))
}

// addAgent serves POST /services/agents.
func (s operators) addAgent(w *response, r *http.Request) error {
	var req api.AddAgent
	if err := readJSON(w, r, &req); err != nil {
		return err
	}
	who, err := s.cfg.Services.Agents.Add(req.Line)
	switch {
	case errors.Is(err, directory.ErrBadLine):
		return malformed("line: " + err.Error())
	case errors.Is(err, directory.ErrListed):
		return problem(http.StatusConflict, api.CodeAlreadyListed, err.Error(), "to change its line, remove the agent first")
	case err != nil:
		return err
	}
	s.cfg.Logger.Info("an operator added an agent", "agent", who.Name, "fingerprint", who.Fingerprint)
	w.Header().Set("Location", api.PathServiceAgent+"/"+url.PathEscape(who.Fingerprint))
	a, ok := s.cfg.Directory.Agent(who.Fingerprint)
	if !ok { // it has expired already
		a = directory.Agent{Fingerprint: who.Fingerprint, Name: who.Name, Targets: who.Targets, Tags: who.Tags, PublicKey: lineOf(who)}
	}
	return w.json(http.StatusCreated, s.listed(&a))
}

func lineOf(who identity.Authorized) string {
	return string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(who.Key)))
}

// removeAgent serves DELETE /services/agents/{fingerprint}.
func (s operators) removeAgent(w *response, r *http.Request) error {
	fingerprint := r.PathValue("fingerprint")
	if !strings.HasPrefix(fingerprint, "SHA256:") {
		return noSuchAgent() // names may be anything; it must be clear what is removed
	}
	who, err := s.cfg.Services.Agents.Remove(fingerprint)
	switch {
	case errors.Is(err, directory.ErrNotListed):
		return noSuchAgent()
	case err != nil:
		return err
	}
	s.cfg.Logger.Info("an operator removed an agent", "agent", who.Name, "fingerprint", who.Fingerprint)
	w.empty()
	return nil
}

func noSuchAgent() error {
	return problem(http.StatusNotFound, api.CodeNotFound, "no agent with this fingerprint is listed", "see GET "+api.PathServiceAgent)
}

// usage serves GET /services/users.
func (s operators) usage(w *response, r *http.Request) error {
	now := s.now()
	ids := append(s.cfg.Users.Listed(), s.cfg.Accounts.Active(now)...)
	slices.Sort(ids)
	response := &api.Usage{Defaults: userLimits(s.cfg.Accounts.Defaults()), Users: []api.UserUsage{}}
	for _, id := range slices.Compact(ids) {
		user, _ := s.cfg.Users.Still(id, now)
		u := s.cfg.Accounts.Usage(id, user.Limits, now)
		response.Users = append(response.Users, api.UserUsage{
			User: id, Limits: userLimits(u.Limits), JobsNow: u.Jobs, SessionSecsToday: int(u.Sessions / time.Second),
		})
	}
	return w.json(http.StatusOK, response)
}

func userLimits(l quota.Limits) api.UserLimits {
	return api.UserLimits{Jobs: max(0, l.Jobs), Grants: max(0, l.Grants), SessionSecs: int(max(0, l.Sessions) / time.Second)}
}

// explainJob serves GET /services/jobs/{job_id}.
func (s operators) explainJob(w *response, r *http.Request) error {
	e, err := s.board.Explain(r.PathValue("job_id"))
	if err != nil {
		return problem(http.StatusNotFound, api.CodeUnknownJob, "nothing is known about the job any more", "only the last few thousand choices are kept, and none over a restart")
	}
	return w.json(http.StatusOK, e)
}
