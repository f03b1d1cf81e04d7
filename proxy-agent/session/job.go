package session

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/proxy-agent/build"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

// job runs the client's build, from its build message to the artifacts.
func (s *Session) job(ctx context.Context, control *control, requests <-chan *channel.Build) Ending {
	var request *channel.Build
	wait := time.NewTimer(requestTime)
	defer wait.Stop()
	select {
	case request = <-requests:
	case <-wait.C:
		return ended(ctx, &channel.Problem{Code: channel.ProblemMalformed, Message: fmt.Sprintf("the client sent no build message in %v", requestTime)})
	case <-ctx.Done():
		return ended(ctx, ctx.Err())
	}
	ws, err := s.host.Workspaces.New()
	if err != nil {
		return ended(ctx, err)
	}
	j := &job{Session: s, control: control, request: request, began: time.Now()}
	s.removals = append(s.removals, ws.Close)
	defer j.keepCache()
	defer j.logEnd()
	if err := j.run(ctx, ws); err != nil {
		failed := ended(ctx, err)
		if !j.built.started.IsZero() {
			failed.afterBuild()
		}
		j.ending.Outcome, j.ending.Problem = failed.Outcome, failed.Problem
		j.ending.Artifacts, j.ending.flashMap = nil, ""
	}
	return j.ending
}

// job is the state of one job.
type job struct {
	*Session
	control *control
	request *channel.Build
	began   time.Time
	cache   *build.Cache // nil: the recipe has none
	settled bool         // the build command came to its own end
	built   built
	ending  Ending
	bytes   int64 // of the source
}

// logEnd writes the one line about the job that an operator reads.
func (j *job) logEnd() {
	recipe, target := j.request.Recipe, j.grant.Target
	if j.built.choice != nil {
		recipe, target = j.built.choice.Recipe.Name, j.built.choice.Target
	}
	args := []any{"user", j.grant.Subject, "project", shorten(j.request.Project), "recipe", shorten(recipe), "target", target,
		"source_bytes", j.bytes, "artifacts", len(j.ending.Artifacts), "outcome", j.ending.Outcome,
		"seconds", time.Since(j.began).Round(time.Millisecond).Seconds()}
	if j.ending.Problem != nil {
		args = append(args, "problem", j.ending.Problem.Message)
	}
	j.log.Info("job ended", args...)
}

func (j *job) run(ctx context.Context, ws *build.Workspace) error {
	if err := j.control.stage(ctx, channel.Stage{Name: channel.StageSource}); err != nil {
		return err
	}
	if err := j.receive(ctx, ws); err != nil {
		return err
	}
	choice, err := j.host.Catalog().Choose(ws.Root.FS(), build.Want{
		Target: j.grant.Target, Toolchain: j.grant.Toolchain, Recipe: j.request.Recipe,
	})
	if err != nil {
		return err
	}
	if err := j.build(ctx, ws, choice); err != nil {
		return err
	}
	artifacts, err := choice.Collect(ws)
	if err != nil {
		return err
	}
	defer artifacts.Close()
	signed, err := j.attest(artifacts)
	if err != nil {
		return err
	}
	if err := j.control.stage(ctx, channel.Stage{Name: channel.StageArtifacts}); err != nil {
		return err
	}
	return j.deliver(ctx, signed)
}

func (j *job) build(ctx context.Context, ws *build.Workspace, choice *build.Choice) error {
	allow := build.Allowance{
		Cores: j.grant.CPUCores.Whole(), Share: j.grant.CPUCores, MemoryMB: j.grant.MemoryMB,
		Time: time.Duration(j.grant.SessionSecs) * time.Second, Disk: j.host.Disk,
	}
	var err error
	if allow.Cache, err = j.takeCache(choice); err != nil {
		return err
	}
	argv, err := choice.Command(j.host.Sandbox, allow)
	if err != nil {
		return err
	}
	stage := channel.Stage{
		Name: channel.StageBuild, Recipe: choice.Recipe.Name, Target: choice.Target,
		Toolchain: choice.Recipe.Toolchain.Name, Version: choice.Version, Command: argv,
	}
	if err := j.control.stage(ctx, stage); err != nil {
		return err
	}
	logs := j.control.pumpLogs(ctx)
	j.ending.setup = time.Since(j.began)
	j.built.choice, j.built.command, j.built.started = choice, argv, time.Now()
	result, err := choice.Run(ctx, j.host.Sandbox, ws, allow, logs.line)
	j.built.finished = time.Now()
	logs.finish()
	j.ending.exitCode, j.ending.build = result.ExitCode, result.Duration
	if err != nil {
		return err
	}
	j.settled = result.ExitCode < 128 // not ended by a signal
	if result.ExitCode != 0 {
		return j.failed(argv[0], result)
	}
	return nil
}

func (j *job) failed(command string, result sandbox.Result) error {
	p := &channel.Problem{
		Code:    channel.ProblemBuildFailed,
		Message: fmt.Sprintf("the build failed: %s exited with %d", command, result.ExitCode),
	}
	if signal := result.ExitCode - 128; signal > 0 && signal < 65 {
		p.Message = fmt.Sprintf("the build failed: %s was ended by a signal (%v)", command, syscall.Signal(signal))
		if j.host.Sandbox.Soft() != nil { // then the kernel does not say whether memory was the reason
			p.Hints = []string{fmt.Sprintf("the grant allows each process %d MiB of memory", j.grant.MemoryMB)}
		}
	}
	if result.OutOfMemory {
		p.Message = fmt.Sprintf("the build failed: it needed more than the %d MiB of memory that its grant allows", j.grant.MemoryMB)
		p.Hints = []string{"get a grant for more with --memory"}
	}
	return p
}

// deliver sends the artifacts with their provenance. The result lists the
// artifacts without the statement, as the statement itself does.
func (j *job) deliver(ctx context.Context, signed *firmware) error {
	m, err := j.channel(ctx, channel.LabelFirmware)
	if err != nil {
		return err
	}
	sent, err := channel.SendTree(ctx, m, signed.manifest(), signed.open, nil)
	if err != nil {
		return err
	}
	j.log.Debug("delivered the artifacts", "files", sent.Files, "bytes", sent.Bytes)
	j.ending.Outcome = api.OutcomeSucceeded
	j.ending.Artifacts, j.ending.flashMap = signed.artifacts.List, signed.artifacts.FlashMap
	return nil
}

// channel waits for a bulk channel that the client must open.
func (j *job) channel(ctx context.Context, label string) (channel.Messages, error) {
	if err := j.grant.CheckChannel(label); err != nil {
		return nil, &channel.Problem{Code: channel.ProblemUngranted, Message: err.Error()}
	}
	wait, cancel := context.WithTimeoutCause(ctx, requestTime, &channel.Problem{
		Code: channel.ProblemMalformed, Message: fmt.Sprintf("the client did not open the channel %s in %v", label, requestTime),
	})
	defer cancel()
	m, err := j.conn.Channel(wait, label)
	if err != nil {
		return nil, because(wait, err)
	}
	return j.throttle(m, label), nil
}
