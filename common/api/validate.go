package api

import (
	"errors"
	"fmt"
	"strings"

	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/lexical"
	"github.com/farforge/farforge/common/toolchain"
)

// Validate brings the fingerprint into its normal form and reports the first
// field that is out of its form or its range. The error names the field as JSON
// spells it.
func (r *GrantRequest) Validate() error {
	r.PeerFingerprint = normalFingerprint(r.PeerFingerprint)
	switch {
	case !lexical.Fingerprint(r.PeerFingerprint):
		return errors.New("peer_fingerprint: want the SHA-256 of the DTLS certificate as 32 hexadecimal bytes joined by colons")
	case len(r.RequiredChannels) == 0:
		return errors.New("required_channels: name at least one data channel")
	case len(r.RequiredChannels) > MaxChannels:
		return fmt.Errorf("required_channels: %d labels, at most %d are allowed", len(r.RequiredChannels), MaxChannels)
	case !r.CPUCores.Valid():
		return fmt.Errorf("cpu_cores: %v is not between %v and %v", r.CPUCores, capacity.MinShare, capacity.MaxShare)
	case r.MemoryMB < 1 || r.MemoryMB > 4<<20:
		return fmt.Errorf("memory_mb: %d is not between 1 and %d", r.MemoryMB, 4<<20)
	case r.TimeoutSecs < 1 || r.TimeoutSecs > 24*3600:
		return fmt.Errorf("timeout_secs: %d is not between 1 and %d", r.TimeoutSecs, 24*3600)
	case r.Target != "" && !lexical.Name(r.Target):
		return fmt.Errorf("target: %q is not a chip name such as esp32c3", r.Target)
	case r.Kind != "" && !lexical.Name(r.Kind):
		return fmt.Errorf("kind: %q is not a kind of project such as esp-idf", r.Kind)
	case len(r.Project) > 128:
		return errors.New("project: longer than 128 bytes")
	case len(r.NAT) > 32:
		return errors.New("nat: longer than 32 bytes")
	case len(r.Agents) > MaxAgents:
		return fmt.Errorf("agents: %d names, at most %d are allowed", len(r.Agents), MaxAgents)
	case len(r.ExcludeAgents) > MaxAgents:
		return fmt.Errorf("exclude_agents: %d names, at most %d are allowed", len(r.ExcludeAgents), MaxAgents)
	}
	if _, err := toolchain.Parse(r.Toolchain); err != nil {
		return fmt.Errorf("toolchain: %w", err)
	}
	if err := validTags("tags", r.Tags); err != nil {
		return err
	}
	for _, c := range r.RequiredChannels {
		if !lexical.Name(c) {
			return fmt.Errorf("required_channels: %q is not a channel label", c)
		}
	}
	for field, agents := range map[string][]string{"agents": r.Agents, "exclude_agents": r.ExcludeAgents} {
		for _, a := range agents {
			if a == "" || len(a) > 128 {
				return fmt.Errorf("%s: %q is neither a name nor a fingerprint", field, a)
			}
		}
	}
	return nil
}

// normalFingerprint takes the name of the hash off a fingerprint, as an SDP
// attribute or the seed's protocol writes it, and returns the rest in upper case.
func normalFingerprint(text string) string {
	const hash = "SHA-256"
	upper := strings.ToUpper(text)
	if rest, ok := strings.CutPrefix(upper, hash); ok && rest != "" && (rest[0] == ':' || rest[0] == ' ') {
		return rest[1:]
	}
	return upper
}

// Validate reports the first field that is out of its form or its range.
func (s *Status) Validate() error {
	switch {
	case s.TotalCores < 1 || s.FreeCores < 0 || s.FreeCores > s.TotalCores:
		return fmt.Errorf("free_cores: %d of %d", s.FreeCores, s.TotalCores)
	case s.TotalMemMB < 1 || s.FreeMemMB < 0 || s.FreeMemMB > s.TotalMemMB:
		return fmt.Errorf("free_memory_mb: %d of %d", s.FreeMemMB, s.TotalMemMB)
	case len(s.Capabilities) > MaxCapabilities:
		return fmt.Errorf("capabilities: %d, at most %d are allowed", len(s.Capabilities), MaxCapabilities)
	case len(s.Recipes) > MaxRecipes:
		return fmt.Errorf("recipes: %d, at most %d are allowed", len(s.Recipes), MaxRecipes)
	case len(s.EndedJobs) > MaxEnded:
		return fmt.Errorf("ended_jobs: %d, at most %d are allowed", len(s.EndedJobs), MaxEnded)
	case len(s.Warm) > MaxWarm:
		return fmt.Errorf("warm: %d, at most %d are allowed", len(s.Warm), MaxWarm)
	case len(s.Version) > 64:
		return errors.New("version: longer than 64 bytes")
	case len(s.NAT) > 32:
		return errors.New("nat: longer than 32 bytes")
	case s.Sealing != nil && (len(s.Sealing.Recipient) > 128 || len(s.Sealing.Signature) > 4096):
		return errors.New("sealing: the recipient is longer than 128 bytes or the signature than 4096")
	}
	if err := validTags("tags", s.Tags); err != nil {
		return err
	}
	for _, w := range s.Warm {
		if len(w) > 128 {
			return errors.New("warm: a key is longer than 128 bytes")
		}
	}
	for i := range s.Recipes {
		if err := s.Recipes[i].validate(); err != nil {
			return fmt.Errorf("recipes: %w", err)
		}
	}
	for _, c := range s.Capabilities {
		if !lexical.Name(c.Target) || !lexical.Name(c.Toolchain) || len(c.Version) > 32 {
			return fmt.Errorf("capabilities: %q with %q %q is not a target with a toolchain and its version", c.Target, c.Toolchain, c.Version)
		}
	}
	return nil
}

func (r *Recipe) validate() error {
	switch {
	case !lexical.Name(r.Name):
		return fmt.Errorf("name: %q is not the name of a recipe such as esp-idf", r.Name)
	case r.Kind != "" && !lexical.Name(r.Kind):
		return fmt.Errorf("kind: %q is not a kind of project such as esp-idf", r.Kind)
	case len(r.Targets) > MaxRecipes || len(r.Toolchains) > MaxRecipes:
		return fmt.Errorf("%s has %d targets and %d toolchains, at most %d are allowed", r.Name, len(r.Targets), len(r.Toolchains), MaxRecipes)
	}
	for _, target := range r.Targets {
		if !lexical.Name(target) {
			return fmt.Errorf("targets: %q is not a chip name such as esp32c3", target)
		}
	}
	for _, t := range r.Toolchains {
		if name, version, _ := strings.Cut(t, "@"); !lexical.Name(name) || len(version) > 32 {
			return fmt.Errorf("toolchains: %q is not NAME or NAME@VERSION", t)
		}
	}
	return nil
}

// Validate reports the first field that is out of its form or its range.
func (r *Report) Validate() error {
	if !r.Outcome.known() {
		return fmt.Errorf("outcome: %q is unknown", r.Outcome)
	}
	if r.DurationMS < 0 {
		return fmt.Errorf("duration_ms: %d is negative", r.DurationMS)
	}
	if r.Claim < 0 {
		return fmt.Errorf("claim: %d is negative", r.Claim)
	}
	for _, a := range r.Artifacts {
		if a.Path == "" || a.Size < 0 || !lexical.Hex(a.SHA256, 64) {
			return fmt.Errorf("artifacts: %q needs a path, a size and a SHA-256 in lower-case hexadecimal", a.Path)
		}
	}
	return nil
}

// SignedBytes returns the text that the agent signs: a domain line, then one line
// for each field, so that the signature does not depend on the spelling of JSON.
func (r *Report) SignedBytes() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "farforge-report-v1\njob %s\noutcome %s\nduration_ms %d\n", r.JobID, r.Outcome, r.DurationMS)
	if r.Claim != 0 {
		fmt.Fprintf(&b, "claim %d\n", r.Claim)
	}
	for _, a := range r.Artifacts {
		fmt.Fprintf(&b, "artifact %s %d %q\n", a.SHA256, a.Size, a.Path)
	}
	return []byte(b.String())
}

// Validate reports the first field that is out of its form or its range.
func (c *Confirmation) Validate() error {
	switch {
	case c.Agent == "" || len(c.Agent) > 128:
		return errors.New("agent: want the fingerprint of the agent that answered, SHA256:…")
	case !c.Outcome.known():
		return fmt.Errorf("outcome: %q is unknown", c.Outcome)
	case c.DurationMS < 0:
		return fmt.Errorf("duration_ms: %d is negative", c.DurationMS)
	}
	return nil
}

func (o Outcome) known() bool {
	switch o {
	case OutcomeSucceeded, OutcomeBuildFailed, OutcomeCanceled, OutcomeTimedOut, OutcomeRefused, OutcomeLost, OutcomeAgentFailed:
		return true
	}
	return false
}

// ValidTag reports whether a text has the form of a tag: letters, digits and
// . _ + -.
func ValidTag(tag string) bool { return lexical.Name(tag) }

// validTags checks the tags of a field or parameter, which its errors name.
func validTags(name string, tags []string) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("%s: %d, at most %d are allowed", name, len(tags), MaxTags)
	}
	for _, tag := range tags {
		if !ValidTag(tag) {
			return fmt.Errorf("%s: %q is not a tag such as eu", name, tag)
		}
	}
	return nil
}
