package channel

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/bounded"
)

// Type names the type of a control message.
type Type string

// The types of control messages. Each but TypeCancel has a member of the same
// name in [Message].
const (
	TypeBuild   Type = "build"
	TypeCancel  Type = "cancel"
	TypeStage   Type = "stage"
	TypeLog     Type = "log"
	TypeProblem Type = "problem"
	TypeResult  Type = "result"
)

// Message is one message on the espctl channel.
type Message struct {
	Type    Type     `json:"type"`
	Build   *Build   `json:"build,omitempty"`
	Stage   *Stage   `json:"stage,omitempty"`
	Log     *Log     `json:"log,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
	Result  *Result  `json:"result,omitempty"`
}

// Build starts the build. The grant says for which target, with which toolchain
// and within which limits.
type Build struct {
	// Project is a name for logs on the agent.
	Project string `json:"project"`
	// Recipe pins the recipe by name; empty lets the agent recognize one.
	Recipe string `json:"recipe,omitempty"`
	// Cache is the client's secret for this project on this agent. The agent
	// keeps a cache for the next build that names the same secret. Empty
	// disables the cache.
	Cache string `json:"cache,omitempty"`
	// Source names an archive for the agent to fetch. Without it the client
	// sends the source over the source channel.
	Source *Source `json:"source,omitempty"`
}

// Source is a project by reference.
type Source struct {
	// URL is that of the archive: https, on a host that the agent's operator
	// allows. Its path ends in .tar, .tar.gz, .tgz, .tar.zst or .zip.
	URL string `json:"url"`
	// SHA256 is that of the archive, in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
	// StripComponents is the number of leading folders to drop from each path,
	// as in tar.
	StripComponents int `json:"strip_components,omitempty"`
}

// Stage announces that a phase of the job begins.
type Stage struct {
	Name StageName `json:"name"`
	// The rest is set with StageBuild.
	Recipe    string   `json:"recipe,omitempty"`
	Target    string   `json:"target,omitempty"`
	Toolchain string   `json:"toolchain,omitempty"`
	Version   string   `json:"version,omitempty"`
	Command   []string `json:"command,omitempty"`
}

// StageName names a phase of a job.
type StageName string

// The phases, in their order.
const (
	StageSource    StageName = "source"
	StageBuild     StageName = "build"
	StageArtifacts StageName = "artifacts"
)

// Log is output of the build, whole lines without their final line break.
type Log struct {
	Stream string   `json:"stream"` // "stdout" or "stderr"
	Lines  []string `json:"lines"`
}

// ProblemCode is a stable name for a kind of problem on the agent.
type ProblemCode string

// The codes of problems.
const (
	ProblemUngranted    ProblemCode = "ungranted_channel"
	ProblemMalformed    ProblemCode = "malformed_message"
	ProblemManifest     ProblemCode = "bad_manifest"
	ProblemContent      ProblemCode = "bad_content" // a file does not have its hash
	ProblemSource       ProblemCode = "bad_source"  // a reference that is refused or cannot be fetched
	ProblemNoRecipe     ProblemCode = "no_recipe"
	ProblemBuildFailed  ProblemCode = "build_failed"
	ProblemNoArtifacts  ProblemCode = "no_artifacts" // files that the recipe promises are missing
	ProblemTimeLimit    ProblemCode = "time_limit"
	ProblemSizeLimit    ProblemCode = "size_limit"
	ProblemCanceled     ProblemCode = "canceled"
	ProblemAgentFailure ProblemCode = "agent_failure"
)

// Problem says what the agent refused or what went wrong, for the user to read.
type Problem struct {
	Code    ProblemCode `json:"code"`
	Message string      `json:"message"`
	Hints   []string    `json:"hints,omitempty"`
}

// Error makes a Problem an error.
func (p *Problem) Error() string { return p.Message }

// Result says how the job ended. It is the agent's last message.
type Result struct {
	Outcome api.Outcome `json:"outcome"`
	// ExitCode is that of the build command, if it ran.
	ExitCode int `json:"exit_code"`
	// BuildMS is how long the build command ran, in milliseconds. SetupMS is the
	// time from the client's first message to the command's start.
	BuildMS int64 `json:"build_ms"`
	SetupMS int64 `json:"setup_ms"`
	// Artifacts lists the files that the agent sent on the firmware channel,
	// without its statement about them.
	Artifacts []api.Artifact `json:"artifacts,omitempty"`
	// Omitted is the number of artifacts where the list is too long for a
	// message. The client takes the list from the firmware's manifest then.
	Omitted int `json:"artifacts_omitted,omitempty"`
	// FlashMap is the path among the artifacts of the flasher_args.json, or
	// empty when the build made nothing to flash.
	FlashMap string `json:"flash_map,omitempty"`
	// Problem is set unless the job succeeded.
	Problem *Problem `json:"problem,omitempty"`
}

// Delivered returns the number of artifacts that the agent sent.
func (r *Result) Delivered() int { return len(r.Artifacts) + r.Omitted }

// maxWords bounds the text of a problem in a message, in bytes.
const maxWords = 1 << 10

// short returns a copy of a problem that fits into a message.
func (p *Problem) short() *Problem {
	short := &Problem{Code: p.Code, Message: shorten(p.Message)}
	for _, hint := range p.Hints[:min(len(p.Hints), 8)] {
		short.Hints = append(short.Hints, shorten(hint))
	}
	return short
}

func shorten(text string) string {
	if len(text) <= maxWords {
		return text
	}
	return strings.ToValidUTF8(text[:maxWords], "") + " …"
}

// shortened returns a copy of a message that is too long to be sent, without the
// list of artifacts, the command, and the end of long texts.
func (m *Message) shortened() *Message {
	short := *m
	if m.Problem != nil {
		short.Problem = m.Problem.short()
	}
	if m.Stage != nil {
		stage := *m.Stage
		stage.Command = nil
		short.Stage = &stage
	}
	if m.Result != nil {
		result := *m.Result
		result.Artifacts, result.Omitted = nil, m.Result.Delivered()
		if result.Problem != nil {
			result.Problem = result.Problem.short()
		}
		short.Result = &result
	}
	return &short
}

// WriteControl sends one control message. One that is too long loses the end of
// its texts, its command and its list of artifacts. [BatchLog] keeps
// log messages short enough.
func WriteControl(ctx context.Context, m Messages, msg *Message) error {
	data, err := json.Marshal(msg)
	if err == nil && len(data) > MaxMessage {
		data, err = json.Marshal(msg.shortened())
	}
	if err != nil {
		return fmt.Errorf("encode a %s message: %w", msg.Type, err)
	}
	if len(data) > MaxMessage {
		return fmt.Errorf("encode a %s message: %d bytes, at most %d are allowed", msg.Type, len(data), MaxMessage)
	}
	if err := m.WriteMessage(ctx, data); err != nil {
		return fmt.Errorf("send a %s message: %w", msg.Type, err)
	}
	return nil
}

// ReadControl returns the next control message. A message that is malformed is
// a *Problem with ProblemMalformed; the channel can still be read.
func ReadControl(ctx context.Context, m Messages) (*Message, error) {
	data, err := m.ReadMessage(ctx)
	if err != nil {
		return nil, err
	}
	return ParseControl(data)
}

// ParseControl decodes one control message and checks that it has the member of
// its type. It ignores unknown members, and returns a message of an unknown type
// unchanged: newer versions may send them.
func ParseControl(data []byte) (*Message, error) {
	var msg Message
	limits := bounded.Limits{Bytes: MaxMessage, Items: MaxMessage / 2, Depth: 16}
	if err := bounded.Unmarshal(data, limits, &msg); err != nil {
		return nil, malformed("a control message is not the JSON that was expected: %v", err)
	}
	missing := false
	switch msg.Type {
	case "":
		return nil, malformed("a control message has no type")
	case TypeBuild:
		missing = msg.Build == nil
	case TypeStage:
		missing = msg.Stage == nil
	case TypeLog:
		missing = msg.Log == nil
	case TypeProblem:
		missing = msg.Problem == nil
	case TypeResult:
		missing = msg.Result == nil
	}
	if missing {
		return nil, malformed("a %s message has no %q member", msg.Type, msg.Type)
	}
	return &msg, nil
}

// logBudget bounds the text in one log message, in bytes. JSON can make six
// bytes of one, so a full message still stays below MaxMessage.
const logBudget = (MaxMessage - 1024) / 6

// MaxLogLine bounds one line of a log, in bytes. The agent's sandbox cuts longer
// lines.
const MaxLogLine = logBudget - 64

// BatchLog packs lines, each of at most MaxLogLine bytes, into log messages that
// each fit into MaxMessage.
func BatchLog(stream string, lines []string) []*Message {
	var out []*Message
	for len(lines) > 0 {
		n, size := 0, 0
		for n < len(lines) && (n == 0 || size+len(lines[n])+1 <= logBudget) {
			size += len(lines[n]) + 1
			n++
		}
		out = append(out, &Message{Type: TypeLog, Log: &Log{Stream: stream, Lines: lines[:n:n]}})
		lines = lines[n:]
	}
	return out
}
