package console

import (
	"fmt"
	"time"

	"github.com/farforge/farforge/client/remote"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flash"
)

// The objects of --json. doc/client-json.md describes them; a test compares its
// examples with these.
type (
	grantEvent struct {
		Event      string  `json:"event"` // "grant"
		JobID      string  `json:"job_id"`
		Candidates []Agent `json:"candidates"`
	}
	connectedEvent struct {
		Event   string `json:"event"` // "connected"
		Agent   Agent  `json:"agent"`
		Relayed bool   `json:"relayed"`
		AfterMS int64  `json:"after_ms"`
	}
	stageEvent struct {
		Event string            `json:"event"` // "stage"
		Stage channel.StageName `json:"stage"`
		// The other members are set for the stage "build".
		Recipe    string   `json:"recipe,omitempty"`
		Target    string   `json:"target,omitempty"`
		Toolchain string   `json:"toolchain,omitempty"`
		Version   string   `json:"version,omitempty"`
		Command   []string `json:"command,omitempty"`
	}
	logEvent struct {
		Event  string   `json:"event"` // "log"
		Stream string   `json:"stream"`
		Lines  []string `json:"lines"`
	}
	noticeEvent struct {
		Event   string              `json:"event"` // "notice"
		Code    channel.ProblemCode `json:"code"`
		Message string              `json:"message"`
		Hints   []string            `json:"hints,omitempty"`
	}
	transferEvent struct {
		Event string `json:"event"` // "upload" or "download"
		Done  int64  `json:"done"`
		Total int64  `json:"total"`
	}
	plainEvent struct {
		Event string `json:"event"` // "canceling"
	}
	boardEvent struct {
		Event     string `json:"event"` // "board"
		Port      string `json:"port"`
		Chip      string `json:"chip"`
		MAC       string `json:"mac,omitempty"`
		FlashSize int64  `json:"flash_size,omitempty"`
	}
	flashEvent struct {
		Event   string `json:"event"` // "flash"
		Region  string `json:"region"`
		Index   int    `json:"index"`
		Count   int    `json:"count"`
		Phase   string `json:"phase"`
		Done    int    `json:"done"`
		Total   int    `json:"total"`
		Skipped bool   `json:"skipped,omitempty"`
	}
	fileEvent struct {
		Event string `json:"event"` // "file"
		channel.File
	}
	monitorEvent struct {
		Event string `json:"event"` // "monitor"
		Line  string `json:"line"`
	}
	errorEvent struct {
		Event string   `json:"event"` // "error"
		Error string   `json:"error"`
		Hints []string `json:"hints,omitempty"`
		Code  string   `json:"code"` // stable, see cli.ErrorCode
		Exit  cli.Exit `json:"exit"`
	}
)

// Agent is the agent that did a job.
type Agent struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
}

func newAgent(a remote.Agent) Agent { return Agent{Name: a.Name, Fingerprint: a.Fingerprint} }

func newErrorEvent(err error) errorEvent {
	return errorEvent{Event: "error", Error: err.Error(), Hints: cli.Hints(err), Code: cli.ErrorCode(err), Exit: cli.Code(err)}
}

func (c *Console) jsonEvent(e remote.Event) {
	switch e := e.(type) {
	case remote.Granted:
		g := grantEvent{Event: "grant", JobID: e.JobID, Candidates: []Agent{}}
		for _, candidate := range e.Candidates {
			g.Candidates = append(g.Candidates, Agent{candidate.Name, candidate.Fingerprint})
		}
		c.emit(g)
	case remote.Waiting:
		c.emit(newWaitingEvent(e))
	case remote.Explained:
		c.emit(explainedEvent{"explained", e.JobID, e.Candidates})
	case remote.Connected:
		c.emit(connectedEvent{"connected", newAgent(e.Agent), e.Relayed, e.After.Milliseconds()})
	case remote.Stage:
		c.emit(stageEvent{"stage", e.Name, e.Recipe, e.Target, e.Toolchain, e.Version, e.Command})
	case remote.Log:
		c.emit(logEvent{"log", e.Stream, e.Lines})
	case remote.Notice:
		c.emit(noticeEvent{"notice", e.Code, e.Message, e.Hints})
	case remote.Upload:
		c.jsonTransfer("upload", e.Done, e.Total)
	case remote.Download:
		c.jsonTransfer("download", e.Done, e.Total)
	case remote.Canceling:
		c.emit(plainEvent{"canceling"})
	}
}

func (c *Console) jsonTransfer(name string, done, total int64) {
	if c.due(name, done == total) {
		c.emit(transferEvent{name, done, total})
	}
}

// due reports whether progress should be written now.
func (c *Console) due(name string, last bool) bool {
	if !last && time.Since(c.progressed[name]) < jsonEvery {
		return false
	}
	c.progressed[name] = time.Now()
	return true
}

// File shows a file of a project.
func (c *Console) File(f channel.File) {
	c.Result("%s", f.Path)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(fileEvent{"file", f})
}

// MonitorLine writes a line of the board as JSON. The monitor shows it to people.
func (c *Console) MonitorLine(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(monitorEvent{"monitor", line})
}

// Board shows the board on the port.
func (c *Console) Board(port string, info flash.Info) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(boardEvent{"board", port, info.Chip, info.MAC.String(), info.FlashSize})
	text := info.Title
	if info.FlashSize > 0 {
		// Flash sizes are powers of two, and by custom 4 MB means 4 MiB.
		text += fmt.Sprintf(", %d MB of flash", info.FlashSize>>20)
	}
	if len(info.MAC) > 0 {
		text += ", MAC " + info.MAC.String()
	}
	c.say("found %s at %s", text, port)
}

// Flash shows the progress of flashing.
func (c *Console) Flash(p flash.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.json {
		key := p.Region + p.Phase.String()
		if c.due(key, p.Phase != flash.Write || p.Written == p.Total) {
			c.emit(flashEvent{"flash", p.Region, p.Index, p.Count, p.Phase.String(), p.Written, p.Total, p.Skipped})
		}
		return
	}
	if p.Phase == flash.Done {
		c.progress(p.Region, int64(p.Total), int64(p.Total), "")
		switch {
		case p.Skipped:
			c.say("%s: the flash holds these %s already", p.Region, Bytes(int64(p.Total)))
		default:
			c.say("%s: %s written and verified", p.Region, Bytes(int64(p.Total)))
		}
		return
	}
	c.progress(p.Region, int64(p.Written), int64(p.Total), p.Phase.String())
}
