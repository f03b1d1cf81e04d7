package api

import (
	"math"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/capacity"
)

func validRequest() GrantRequest {
	return GrantRequest{
		PeerFingerprint:  strings.TrimSuffix(strings.Repeat("AB:", 32), ":"),
		RequiredChannels: []string{"espctl"},
		CPUCores:         1, MemoryMB: 256, TimeoutSecs: 60,
		Target: "esp32c3", Toolchain: "esp-idf@5.3",
	}
}

func TestGrantRequestNamesTheWrongField(t *testing.T) {
	ok := validRequest()
	if err := ok.Validate(); err != nil {
		t.Fatalf("a valid request was refused: %v", err)
	}
	tests := []struct {
		field string
		spoil func(*GrantRequest)
	}{
		{"peer_fingerprint", func(r *GrantRequest) { r.PeerFingerprint = r.PeerFingerprint[3:] }},
		{"peer_fingerprint", func(r *GrantRequest) { r.PeerFingerprint = "sha-512:" + r.PeerFingerprint }},
		{"peer_fingerprint", func(r *GrantRequest) { r.PeerFingerprint = "sha-256:sha-256:" + r.PeerFingerprint }},
		{"required_channels", func(r *GrantRequest) { r.RequiredChannels = nil }},
		{"required_channels", func(r *GrantRequest) { r.RequiredChannels = []string{"a b"} }},
		{"required_channels", func(r *GrantRequest) { r.RequiredChannels = make([]string, MaxChannels+1) }},
		{"cpu_cores", func(r *GrantRequest) { r.CPUCores = 0 }},
		{"cpu_cores", func(r *GrantRequest) { r.CPUCores = -0.5 }},
		{"cpu_cores", func(r *GrantRequest) { r.CPUCores = 0.001 }},
		{"cpu_cores", func(r *GrantRequest) { r.CPUCores = 1e300 }},
		{"cpu_cores", func(r *GrantRequest) { r.CPUCores = capacity.CoreShare(math.NaN()) }},
		{"memory_mb", func(r *GrantRequest) { r.MemoryMB = -1 }},
		{"timeout_secs", func(r *GrantRequest) { r.TimeoutSecs = 1 << 30 }},
		{"target", func(r *GrantRequest) { r.Target = "../esp32" }},
		{"toolchain", func(r *GrantRequest) { r.Toolchain = "esp-idf@" }},
		{"toolchain", func(r *GrantRequest) { r.Toolchain = "esp-idf@>=" }},
		{"tags", func(r *GrantRequest) { r.Tags = []string{"a b"} }},
		{"tags", func(r *GrantRequest) { r.Tags = make([]string, MaxTags+1) }},
		{"kind", func(r *GrantRequest) { r.Kind = "esp idf" }},
		{"project", func(r *GrantRequest) { r.Project = strings.Repeat("x", 129) }},
		{"nat", func(r *GrantRequest) { r.NAT = strings.Repeat("x", 33) }},
		{"agents", func(r *GrantRequest) { r.Agents = []string{""} }},
		{"exclude_agents", func(r *GrantRequest) { r.ExcludeAgents = make([]string, MaxAgents+1) }},
	}
	for _, tt := range tests {
		r := validRequest()
		tt.spoil(&r)
		if err := r.Validate(); err == nil || !strings.HasPrefix(err.Error(), tt.field+":") {
			t.Errorf("error %v does not name %s", err, tt.field)
		}
	}
}

func TestGrantRequestNormalizesTheFingerprint(t *testing.T) {
	want := validRequest().PeerFingerprint
	for _, spelling := range []string{want, strings.ToLower(want), "sha-256:" + want, "SHA-256:" + strings.ToLower(want), "sha-256 " + want, "Sha-256:" + want} {
		r := validRequest()
		r.PeerFingerprint = spelling
		if err := r.Validate(); err != nil || r.PeerFingerprint != want {
			t.Errorf("%s became %s, %v", spelling, r.PeerFingerprint, err)
		}
	}
}

func TestStatusNamesTheWrongRecipe(t *testing.T) {
	for want, r := range map[string]Recipe{
		"":            {Name: "idf", Kind: "esp-idf", Targets: []string{"esp32c3"}, Toolchains: []string{"esp-idf@5.3.1", "gcc"}},
		"name:":       {},
		"kind:":       {Name: "idf", Kind: "../x"},
		"targets:":    {Name: "idf", Targets: []string{"\x1b[2J"}},
		"toolchains:": {Name: "idf", Toolchains: []string{"@5.3"}},
		"idf has":     {Name: "idf", Targets: make([]string, MaxRecipes+1)},
	} {
		s := Status{TotalCores: 1, TotalMemMB: 1, Recipes: []Recipe{r}}
		err := s.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), "recipes: "+want)) {
			t.Errorf("%+v: error %v does not name %q", r, err, want)
		}
	}
	s := Status{TotalCores: 1, TotalMemMB: 1, Recipes: make([]Recipe, MaxRecipes+1)}
	if err := s.Validate(); err == nil || !strings.HasPrefix(err.Error(), "recipes: 65") {
		t.Errorf("too many recipes: %v", err)
	}
}

func TestSignedBytesCannotBeConfused(t *testing.T) {
	a := Report{JobID: "J", Outcome: OutcomeSucceeded, Artifacts: []Artifact{{Path: "a\nartifact x 1 b", Size: 1, SHA256: "00"}}}
	b := Report{JobID: "J", Outcome: OutcomeSucceeded, Artifacts: []Artifact{{Path: "a", Size: 1, SHA256: "00"}, {Path: "b", Size: 1, SHA256: "x"}}}
	if string(a.SignedBytes()) == string(b.SignedBytes()) {
		t.Fatal("two different reports have the same signed bytes")
	}
	if n := strings.Count(string(a.SignedBytes()), "\n"); n != 5 {
		t.Fatalf("a line break in a path made a line of its own: %d lines", n)
	}
}
