package console

import "github.com/farforge/farforge/client/artifacts"

// Reproduced tells of a build that was done again and came out the same.
type Reproduced struct {
	JobID string `json:"job_id"`
	// Agent is who built this time; Original is the fingerprint of who did the
	// first time, and By its names, if it is known.
	Agent    Agent    `json:"agent"`
	Original string   `json:"original"`
	By       []string `json:"by,omitempty"`
	// Artifacts is how many there are.
	Artifacts int `json:"artifacts"`
}

type comparedEvent struct {
	Event string               `json:"event"` // "compared"
	Path  string               `json:"path"`
	Is    artifacts.Difference `json:"is"`
	// Statement and Built are the SHA-256s, where there is one.
	Statement string `json:"statement,omitempty"`
	Built     string `json:"built,omitempty"`
}

// Compared shows how an artifact of a build that was done again compares.
func (c *Console) Compared(x artifacts.Compared) {
	c.Result("%s  %s", x.Is, Clean(x.Path, false))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(comparedEvent{"compared", x.Path, x.Is, x.Old, x.New})
}
