// Package provenance is an agent's signed statement about a build: its source,
// recipe, toolchain, time, user and artifacts.
//
// The statement is an in-toto Statement v1 with a SLSA provenance v1 predicate.
// It is signed as SSHSIG over its exact bytes, in the namespace [Namespace], so
// that stock OpenSSH can check it:
//
//	ssh-keygen -Y verify -f known_agents -I AGENT \
//	    -n build-provenance@farforge -s provenance.json.sig < provenance.json
//
// Both files travel with the artifacts and are stored beside them. The statement
// names every artifact by its SHA-256, and is not an artifact itself.
package provenance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/identity"
)

// Namespace is that of the SSHSIG over a statement.
const Namespace = "build-provenance@farforge"

// The paths of the statement and its signature beside the artifacts.
const (
	FileName      = "provenance.json"
	SignatureName = "provenance.json.sig"
)

// URIs of the formats.
const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://slsa.dev/provenance/v1"
	buildType     = "https://github.com/farforge/farforge/build/v1"
	builderPrefix = "ssh-key:"
	maxStatement  = 16 << 20
)

// cacheWarm in a statement means that the build had a cache of earlier builds.
const cacheWarm = "warm"

// ErrUntrusted is wrapped by every error about a statement, a signature or
// artifacts that do not match.
var ErrUntrusted = errors.New("the build's provenance does not hold")

// Build is the content of a statement.
type Build struct {
	JobID string
	User  string // the grant's subject
	// Agent is the builder's SSH key fingerprint.
	Agent string
	// Source is the SHA-256 of the source tree; see SourceDigest.
	Source    string
	Recipe    string
	Target    string
	Toolchain string
	Version   string // of the toolchain
	Sandbox   string
	Command   []string
	// Cached reports that the build had a cache of earlier builds of the project.
	Cached     bool
	Started    time.Time
	Finished   time.Time
	Artifacts  []api.Artifact
	AgentBuild string // version of the agent program
}

// statement is the JSON of in-toto and SLSA.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     predicate `json:"predicate"`
}

type subject struct {
	Name   string    `json:"name"`
	Digest digestSet `json:"digest"`
	// The size is an annotation of ours.
	Annotations map[string]int64 `json:"annotations,omitempty"`
}

type digestSet struct {
	SHA256 string `json:"sha256"`
}

type predicate struct {
	BuildDefinition struct {
		BuildType          string            `json:"buildType"`
		ExternalParameters parameters        `json:"externalParameters"`
		InternalParameters map[string]string `json:"internalParameters,omitempty"`
		Dependencies       []dependency      `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version,omitempty"`
		} `json:"builder"`
		Metadata struct {
			InvocationID string    `json:"invocationId"`
			StartedOn    time.Time `json:"startedOn"`
			FinishedOn   time.Time `json:"finishedOn"`
		} `json:"metadata"`
	} `json:"runDetails"`
}

type parameters struct {
	Target    string   `json:"target"`
	Recipe    string   `json:"recipe"`
	Toolchain string   `json:"toolchain"`
	User      string   `json:"user"`
	Command   []string `json:"command"`
}

type dependency struct {
	Name        string            `json:"name"`
	Digest      *digestSet        `json:"digest,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Marshal returns the statement's bytes, which are signed, stored and checked.
func (b *Build) Marshal() ([]byte, error) {
	s := statement{Type: statementType, PredicateType: predicateType, Subject: []subject{}}
	for _, a := range b.Artifacts {
		s.Subject = append(s.Subject, subject{Name: a.Path, Digest: digestSet{a.SHA256}, Annotations: map[string]int64{"size": a.Size}})
	}
	def := &s.Predicate.BuildDefinition
	def.BuildType = buildType
	def.ExternalParameters = parameters{Target: b.Target, Recipe: b.Recipe, Toolchain: b.Toolchain, User: b.User, Command: b.Command}
	def.InternalParameters = map[string]string{"sandbox": b.Sandbox}
	if b.Cached {
		def.InternalParameters["cache"] = cacheWarm
	}
	def.Dependencies = []dependency{
		{Name: "source", Digest: &digestSet{b.Source}},
		{Name: b.Toolchain, Annotations: map[string]string{"version": b.Version}},
	}
	run := &s.Predicate.RunDetails
	run.Builder.ID = builderPrefix + b.Agent
	run.Builder.Version = map[string]string{"farforge": b.AgentBuild}
	run.Metadata.InvocationID = b.JobID
	run.Metadata.StartedOn, run.Metadata.FinishedOn = b.Started.UTC(), b.Finished.UTC()
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the provenance: %w", err)
	}
	return append(data, '\n'), nil
}

// Parse reads a statement. The error for anything else wraps ErrUntrusted.
func Parse(data []byte) (*Build, error) {
	if len(data) > maxStatement {
		return nil, fmt.Errorf("%w: the statement is longer than %d bytes", ErrUntrusted, maxStatement)
	}
	var s statement
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%w: the statement is not the JSON that was expected: %w", ErrUntrusted, err)
	}
	def, run := &s.Predicate.BuildDefinition, &s.Predicate.RunDetails
	agent, isAgent := strings.CutPrefix(run.Builder.ID, builderPrefix)
	switch {
	case s.Type != statementType || s.PredicateType != predicateType || def.BuildType != buildType:
		return nil, fmt.Errorf("%w: it is a %q with a %q of a %q", ErrUntrusted, s.Type, s.PredicateType, def.BuildType)
	case !isAgent:
		return nil, fmt.Errorf("%w: the builder %q is not an agent", ErrUntrusted, run.Builder.ID)
	case len(def.Dependencies) != 2 || def.Dependencies[0].Name != "source" || def.Dependencies[0].Digest == nil:
		return nil, fmt.Errorf("%w: it does not name its source", ErrUntrusted)
	}
	b := &Build{
		JobID: run.Metadata.InvocationID, User: def.ExternalParameters.User, Agent: agent,
		Source: def.Dependencies[0].Digest.SHA256, Recipe: def.ExternalParameters.Recipe,
		Target: def.ExternalParameters.Target, Toolchain: def.ExternalParameters.Toolchain,
		Version: def.Dependencies[1].Annotations["version"], Sandbox: def.InternalParameters["sandbox"],
		Cached:  def.InternalParameters["cache"] == cacheWarm,
		Command: def.ExternalParameters.Command, Started: run.Metadata.StartedOn, Finished: run.Metadata.FinishedOn,
		AgentBuild: run.Builder.Version["farforge"],
	}
	for _, sub := range s.Subject {
		b.Artifacts = append(b.Artifacts, api.Artifact{Path: sub.Name, Size: sub.Annotations["size"], SHA256: sub.Digest.SHA256})
	}
	return b, nil
}

// Sign returns the signature over a statement's bytes.
func Sign(agent *identity.Key, data []byte) (string, error) { return agent.Sign(Namespace, data) }

// Verify checks that the agent has signed these bytes, and that they name the
// agent as the builder.
func Verify(agent ssh.PublicKey, data []byte, signature string) (*Build, error) {
	if err := identity.Verify(agent, Namespace, data, signature); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	b, err := Parse(data)
	if err != nil {
		return nil, err
	}
	if got := ssh.FingerprintSHA256(agent); b.Agent != got {
		return nil, fmt.Errorf("%w: %s signed a statement about %s", ErrUntrusted, got, b.Agent)
	}
	return b, nil
}

// CheckArtifacts compares artifacts with the statement: they must be exactly those
// that it names, with their digests.
func (b *Build) CheckArtifacts(there []api.Artifact) error {
	byPath := make(map[string]api.Artifact, len(there))
	for _, a := range there {
		if a.Path != FileName && a.Path != SignatureName {
			byPath[a.Path] = a
		}
	}
	for _, want := range b.Artifacts {
		got, ok := byPath[want.Path]
		if !ok {
			return fmt.Errorf("%w: %s is missing", ErrUntrusted, want.Path)
		}
		if got.SHA256 != want.SHA256 {
			return fmt.Errorf("%w: %s has the SHA-256 %s, the agent signed %s", ErrUntrusted, want.Path, got.SHA256, want.SHA256)
		}
		delete(byPath, want.Path)
	}
	for path := range byPath {
		return fmt.Errorf("%w: the agent did not sign %s", ErrUntrusted, path)
	}
	return nil
}

// SourceDigest returns the SHA-256, in hexadecimal, that identifies a source tree:
// that of one line for each file, in the order of paths. It does not depend on how
// the tree was sent.
func SourceDigest(m *channel.Manifest) string {
	files := slices.Clone(m.Files)
	slices.SortFunc(files, func(a, b channel.File) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%s %q %s%q\n", f.Kind, f.Path, f.SHA256, f.Link)
	}
	return hex.EncodeToString(h.Sum(nil))
}
