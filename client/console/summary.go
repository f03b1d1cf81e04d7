package console

import (
	"fmt"
	"time"

	"github.com/farforge/farforge/client/artifacts"
	"github.com/farforge/farforge/client/remote"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/flash"
)

// Report is the result of a command: the last object of --json, and the summary for
// people.
type Report struct {
	Event      string      `json:"event"` // "result", or "built" before a monitor
	Build      *Built      `json:"build,omitempty"`
	Flash      *Flashed    `json:"flash,omitempty"`
	Verified   *Verified   `json:"verified,omitempty"`
	Reproduced *Reproduced `json:"reproduced,omitempty"`
	Trusted    *[]Known    `json:"trusted,omitempty"`
	Forgotten  string      `json:"forgotten,omitempty"`
	Files      *Listed     `json:"files,omitempty"`
	Version    string      `json:"version,omitempty"`
	Doctor     *Diagnosis  `json:"doctor,omitempty"`
	Agents     *AgentCount `json:"agents,omitempty"`
	Settings   *[]Setting  `json:"settings,omitempty"`
	Ports      *[]Port     `json:"ports,omitempty"`
	Chip       *Chip       `json:"chip,omitempty"`
	ImageInfo  *Image      `json:"image,omitempty"`

	Init *Initialized `json:"init,omitempty"`
}

// Initialized is a project file that was written.
type Initialized struct {
	File   string `json:"file"`
	Kind   string `json:"kind"`
	Target string `json:"target,omitempty"`
}

// Port is a serial port of this machine.
type Port struct {
	Name    string `json:"name"`
	USB     bool   `json:"usb"`
	VID     uint16 `json:"vid,omitempty"`
	PID     uint16 `json:"pid,omitempty"`
	Product string `json:"product,omitempty"`
	Serial  string `json:"serial,omitempty"`
}

// Setting is the value of a flag and its origin, such as a file.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

// Listed is the size of a project.
type Listed struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

// Built is a build that succeeded.
type Built struct {
	JobID   string `json:"job_id"`
	Agent   Agent  `json:"agent"`
	Relayed bool   `json:"relayed"`
	// BytesUp and BytesDown count all bytes on the connection's channels.
	BytesUp   int64 `json:"bytes_up"`
	BytesDown int64 `json:"bytes_down"`
	// SetupMS is the time from the start of the command until the build on the agent,
	// BuildMS the time of that build, TotalMS the time until the artifacts were here.
	SetupMS int64 `json:"setup_ms"`
	BuildMS int64 `json:"build_ms"`
	TotalMS int64 `json:"total_ms"`
	// Dir is the folder of the artifacts.
	Dir       string         `json:"dir"`
	Artifacts []api.Artifact `json:"artifacts"`
	FlashMap  string         `json:"flash_map,omitempty"`
	// Image is the artifact with the program itself.
	Image *api.Artifact `json:"image,omitempty"`
	// Provenance is the agent's signed statement; an unsigned build has none.
	Provenance *Provenance `json:"provenance,omitempty"`
}

// NewBuilt returns the report of a build.
func NewBuilt(o *remote.Outcome, set *artifacts.Set, setup, total time.Duration) *Built {
	b := &Built{
		JobID: o.JobID, Agent: newAgent(o.Agent), Relayed: o.Relayed, BytesUp: o.Up, BytesDown: o.Down,
		SetupMS: setup.Milliseconds(), BuildMS: o.Result.BuildMS, TotalMS: total.Milliseconds(),
		Dir: set.Dir, Artifacts: set.Files, FlashMap: set.FlashMap, Provenance: newProvenance(set.Statement),
	}
	if b.Artifacts == nil {
		b.Artifacts = []api.Artifact{}
	}
	if image, ok := set.Image(); ok {
		b.Image = &image
	}
	return b
}

// Flashed is a board that was flashed and verified.
type Flashed struct {
	Port    string          `json:"port"`
	Chip    string          `json:"chip"`
	TookMS  int64           `json:"took_ms"`
	Regions []FlashedRegion `json:"regions"`
}

// FlashedRegion is one image in flash, compared by MD5.
type FlashedRegion struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	Offset  uint32 `json:"offset"`
	Size    int    `json:"size"`
	MD5     string `json:"md5"`
	Skipped bool   `json:"skipped,omitempty"`
}

// NewFlashed returns the report of a flash.
func NewFlashed(port, chip string, r flash.Result) *Flashed {
	f := &Flashed{Port: port, Chip: chip, TookMS: r.Took.Milliseconds(), Regions: []FlashedRegion{}}
	for _, region := range r.Regions {
		f.Regions = append(f.Regions, FlashedRegion{region.Name, region.Path, region.Offset, region.Size, region.MD5, region.Skipped})
	}
	return f
}

// Done shows the result of the command.
func (c *Console) Done(r Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endBar(true)
	r.Event = "result"
	c.emit(r)
	c.summary(r)
}

// Built shows the build before the command goes on: the event "built" of
// --json. The result follows with [Console.Finish].
func (c *Console) Built(r Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endBar(true)
	r.Event = "built"
	c.emit(r)
	c.summary(r)
}

// Finish writes the last object of --json after Built.
func (c *Console) Finish(r Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.Event = "result"
	c.emit(r)
}

// summary writes what people read. The caller holds the lock.
func (c *Console) summary(r Report) {
	if b := r.Build; b != nil {
		c.say("  agent    %s (%s), %s", Clean(b.Agent.Name, false), b.Agent.Fingerprint, way(b.Relayed))
		c.say("  traffic  %s up, %s down", Bytes(b.BytesUp), Bytes(b.BytesDown))
		c.say("  time     %s until the build began, %s building, %s in all", Millis(b.SetupMS), Millis(b.BuildMS), Millis(b.TotalMS))
		if b.Image != nil {
			c.say("  image    %s, %s, SHA-256 %s", Clean(b.Image.Path, false), Bytes(b.Image.Size), b.Image.SHA256)
		}
		if b.Provenance == nil {
			c.say("  signed   by nobody (--allow-unsigned)")
		} else {
			c.say("  signed   by the agent: recipe %s, source SHA-256 %s", Clean(b.Provenance.Recipe, false), b.Provenance.Source)
		}
	}
	if r.Verified != nil {
		c.verified(r.Verified)
	}
	if r.Reproduced != nil {
		c.say("reproduced by %s: all %d artifacts are the same", Clean(r.Reproduced.Agent.Name, false), r.Reproduced.Artifacts)
	}
	if r.Files != nil {
		c.say("%d files, %s", r.Files.Count, Bytes(r.Files.Bytes))
	}
	if f := r.Flash; f != nil {
		c.say("  board    %s at %s, flashed and verified in %s", f.Chip, f.Port, Millis(f.TookMS))
	}
}

// Millis returns a number of milliseconds as a duration for people.
func Millis(ms int64) string {
	switch {
	case ms < 1000:
		return fmt.Sprintf("%d ms", ms)
	case ms < 60_000:
		return fmt.Sprintf("%.1f s", float64(ms)/1000)
	default:
		return fmt.Sprintf("%d min %d s", ms/60_000, ms%60_000/1000)
	}
}
