package console

import "github.com/farforge/farforge/client/artifacts"

// Reproduced is a second build with the same artifacts.
type Reproduced struct {
	JobID string `json:"job_id"`
	// Agent is the builder of this time; Original is the fingerprint of the first
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
