package console

import (
	"strings"
	"time"

	"github.com/farforge/farforge/client/artifacts"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/provenance"
)

// Provenance is an agent's signed statement about a build.
type Provenance struct {
	JobID string `json:"job_id"`
	// Agent is the fingerprint of the builder's key, and User the user of the grant.
	Agent string `json:"agent"`
	User  string `json:"user,omitempty"`
	// Source is the digest of the source tree or, for a source by URL, of the archive.
	Source    string    `json:"source"`
	Recipe    string    `json:"recipe"`
	Target    string    `json:"target"`
	Toolchain string    `json:"toolchain"`
	Version   string    `json:"version"`
	Sandbox   string    `json:"sandbox"`
	Command   []string  `json:"command"`
	Started   time.Time `json:"started"`
	Finished  time.Time `json:"finished"`
}

func newProvenance(b *provenance.Build) *Provenance {
	if b == nil {
		return nil
	}
	return &Provenance{
		JobID: b.JobID, Agent: b.Agent, User: b.User, Source: b.Source, Recipe: b.Recipe, Target: b.Target,
		Toolchain: b.Toolchain, Version: b.Version, Sandbox: b.Sandbox, Command: b.Command, Started: b.Started, Finished: b.Finished,
	}
}

// Verified is a folder with artifacts that a known agent has signed.
type Verified struct {
	Dir string `json:"dir"`
	// By are the agent's principals in known_agents, NAME@BROKER.
	By         []string       `json:"by"`
	Provenance *Provenance    `json:"provenance"`
	Artifacts  []api.Artifact `json:"artifacts"`
	// Beside lists other files in the folder, which are not signed.
	Beside []string `json:"beside,omitempty"`
}

// NewVerified returns the report of a verification.
func NewVerified(v *artifacts.Verified) *Verified {
	return &Verified{
		Dir: v.Dir, By: v.By, Provenance: newProvenance(v.Statement), Artifacts: append([]api.Artifact{}, v.Statement.Artifacts...), Beside: v.Beside,
	}
}

func (c *Console) verified(v *Verified) {
	p := v.Provenance
	line := func(what, format string, args ...any) { c.say("  %-8s "+format, append([]any{what}, args...)...) }
	c.say("verified: %d artifacts in %s are what their agent has signed", len(v.Artifacts), v.Dir)
	line("agent", "%s (%s)", strings.Join(v.By, ", "), p.Agent)
	line("job", "%s, for %s", Clean(p.JobID, false), Clean(userOrAnonymous(p.User), false))
	line("built", "%s, in %s", p.Finished.UTC().Format("2006-01-02 15:04:05 MST"), Millis(p.Finished.Sub(p.Started).Milliseconds()))
	line("from", "source SHA-256 %s", Clean(p.Source, false))
	line("by", "recipe %s, for %s with %s %s, sandbox %s", Clean(p.Recipe, false), Clean(p.Target, false), Clean(p.Toolchain, false), Clean(p.Version, false), Clean(p.Sandbox, false))
	line("command", "%s", Clean(strings.Join(p.Command, " "), false))
	for _, name := range v.Beside {
		c.say("not signed: %s", Clean(name, false))
	}
}

func userOrAnonymous(user string) string {
	if user == "" {
		return "an anonymous user"
	}
	return user
}

// Known is an agent that the user trusts.
type Known struct {
	// Principal is NAME@BROKER.
	Principal   string `json:"principal"`
	Fingerprint string `json:"fingerprint"`
}

// Reproduced is a second build with the same artifacts.
type Reproduced struct {
	JobID string `json:"job_id"`
	// Agent is the builder of the second build; Original is the fingerprint of the first
	// builder, and By its principals, if it is known.
	Agent    Agent    `json:"agent"`
	Original string   `json:"original"`
	By       []string `json:"by,omitempty"`
	// Artifacts is the number of artifacts.
	Artifacts int `json:"artifacts"`
}

type comparedEvent struct {
	Event string               `json:"event"` // "compared"
	Path  string               `json:"path"`
	Is    artifacts.Difference `json:"is"`
	// Statement and Built are the SHA-256s; empty for a missing artifact.
	Statement string `json:"statement,omitempty"`
	Built     string `json:"built,omitempty"`
}

// Compared shows the comparison of one artifact.
func (c *Console) Compared(x artifacts.Compared) {
	c.Result("%s  %s", x.Is, Clean(x.Path, false))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(comparedEvent{"compared", x.Path, x.Is, x.Old, x.New})
}
