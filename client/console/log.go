package console

import (
	"fmt"

	"github.com/farforge/farforge/client/buildlog"
	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/common/cli"
)

type (
	projectEvent struct {
		Event string       `json:"event"` // "project"
		Name  string       `json:"name"`
		Kind  project.Kind `json:"kind"`
	}
	findingEvent struct {
		Event string `json:"event"` // "finding"
		buildlog.Finding
	}
)

// Project shows the kind of the project, if it is known.
func (c *Console) Project(name string, kind project.Kind) {
	if kind == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(projectEvent{"project", name, kind})
	c.say("%s is a project for %s", Clean(name, false), kind.Title())
}

// BuildLog summarizes a build's log: it shows the errors and warnings of compilers and,
// after a failure with --quiet, the end of the log. at is the log's path on
// this machine.
func (c *Console) BuildLog(log *buildlog.Log, at string, failed bool) {
	findings, tail := log.Findings(), log.Tail()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endBar(false)
	for _, f := range findings {
		c.emit(findingEvent{"finding", f})
	}
	if c.json {
		return
	}
	if c.quiet {
		if failed {
			for _, line := range tail {
				c.line(line)
			}
		}
		return
	}
	if len(findings) == 0 {
		return
	}
	c.say("errors and warnings (%s):", at)
	for _, f := range findings {
		c.say("%s", c.paint(f.Severity, f.String()))
	}
}

// paint colors a line by its severity where standard error has colors.
func (c *Console) paint(severity, text string) string {
	codes := map[string]string{"error": "31", "warning": "33"}
	if code := codes[severity]; c.color && code != "" {
		return fmt.Sprintf("\x1b[%sm%s\x1b[0m", code, text)
	}
	return text
}

// FailedBuild adds hints to the error of a failed build: the path of its log, and an
// explanation if the build missed the network.
func FailedBuild(err error, log *buildlog.Log, at string) error {
	if cli.Code(err) != cli.BuildFailed {
		return err
	}
	hints := []string{"the whole log is in " + at}
	if log.Offline() {
		hints = append(hints, "no network in the sandbox: a build on an agent cannot fetch anything; keep what it needs in the project, or ask the agent's operator to provide it")
	}
	return cli.Fail(cli.BuildFailed, err, hints...)
}
