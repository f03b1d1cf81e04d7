package channel

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/farforge/farforge/common/api"
)

// Type names what a control message says.
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

// Build asks the agent to build. What it may use, for which target and with
// which toolchain is in the grant and not repeated here.
type Build struct {
	// Project is a name for logs on the agent.
	Project string `json:"project"`
	// Recipe pins the recipe by name; empty lets the agent recognise one.
	Recipe string `json:"recipe,omitempty"`
	// Cache is a secret of the client's for this project on this very agent.
	// The agent keeps, for who comes with it again, what makes the next build
	// quicker. Empty: nothing is used or kept.
	Cache string `json:"cache,omitempty"`
	// Source names an archive that the agent is to fetch. Without it the source
	// comes over the source channel.
	Source *Source `json:"source,omitempty"`
}

// Source is a project by reference.
type Source struct {
	// URL is where the archive is: https, and a host that the agent's operator
	// allows. Its path ends in .tar, .tar.gz, .tgz, .tar.zst or .zip.
	URL string `json:"url"`
	// SHA256 is that of the archive, in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
	// StripComponents is how many leading folders of each path to leave out, as
	// tar does.
	StripComponents int `json:"strip_components,omitempty"`
}

// Stage tells that a phase of the job begins.
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

// ProblemCode is a stable name of what was refused or went wrong on the agent.
type ProblemCode string

// The codes of problems.
const (
	ProblemUngranted    ProblemCode = "ungranted_channel"
	ProblemMalformed    ProblemCode = "malformed_message"
	ProblemManifest     ProblemCode = "bad_manifest"
	ProblemContent      ProblemCode = "bad_content" // a file that is not what its hash says
	ProblemSource       ProblemCode = "bad_source"  // a reference that is refused or cannot be fetched
	ProblemNoRecipe     ProblemCode = "no_recipe"
	ProblemBuildFailed  ProblemCode = "build_failed"
	ProblemNoArtifacts  ProblemCode = "no_artifacts" // the build left out what its recipe promises
	ProblemTimeLimit    ProblemCode = "time_limit"
	ProblemSizeLimit    ProblemCode = "size_limit"
	ProblemCanceled     ProblemCode = "canceled"
	ProblemAgentFailure ProblemCode = "agent_failure"
)

// Problem tells what was refused or went wrong, in words for the user.
type Problem struct {
	Code    ProblemCode `json:"code"`
	Message string      `json:"message"`
	Hints   []string    `json:"hints,omitempty"`
}

// Error makes a Problem an error.
func (p *Problem) Error() string { return p.Message }

// Result is how the job ended. It is the agent's last message.
type Result struct {
	Outcome api.Outcome `json:"outcome"`
	// ExitCode is the build command's, where it ran.
	ExitCode int `json:"exit_code"`
	// BuildMS is how long the build command ran, in milliseconds; SetupMS how
	// long it took from the first message of the client to its start.
	BuildMS int64 `json:"build_ms"`
	SetupMS int64 `json:"setup_ms"`
	// Artifacts are what was sent on the firmware channel.
	Artifacts []api.Artifact `json:"artifacts,omitempty"`
	// FlashMap is the path among the artifacts of the flasher_args.json, or
	// empty when the build made nothing to flash.
	FlashMap string `json:"flash_map,omitempty"`
	// Problem is set unless the job succeeded.
	Problem *Problem `json:"problem,omitempty"`
}

// WriteControl sends one control message. Log messages must be kept below
// MaxMessage by the caller; see [SplitLog].
func WriteControl(ctx context.Context, m Messages, msg *Message) error {
	data, err := json.Marshal(msg)
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

// ParseControl decodes one control message and checks that it has what its
// type promises. Members and types that it does not know are left to newer
// versions: an unknown type is returned as it is.
func ParseControl(data []byte) (*Message, error) {
	var msg Message
	if err := json.Unmarshal(data, &msg); err != nil {
		return nil, &Problem{Code: ProblemMalformed, Message: fmt.Sprintf("a control message is not JSON as expected: %v", err)}
	}
	missing := false
	switch msg.Type {
	case "":
		return nil, &Problem{Code: ProblemMalformed, Message: "a control message has no type"}
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
		return nil, &Problem{Code: ProblemMalformed, Message: fmt.Sprintf("a %s message has no %q member", msg.Type, msg.Type)}
	}
	return &msg, nil
}
