package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/farforge/farforge/client/artifacts"
	"github.com/farforge/farforge/client/buildlog"
	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/client/remote"
	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/provenance"
)

// building is a build whose source is known and whose agent is not yet.
type building struct {
	config  buildConfig
	start   time.Time
	broker  *introducer
	project *project.Project
	job     remote.Job
	source  string // digest
	fresh   bool   // the build shares nothing with earlier and later ones
	ui      *console.Console
}

// prepare opens a client of the broker and reads the project.
func (a *app) prepare(ctx context.Context, c buildConfig) (*building, error) {
	b := &building{config: c, start: time.Now(), ui: a.ui}
	known, err := c.Trust.Known()
	if err != nil {
		return nil, err
	}
	c.Broker.reached = a.sayWay
	if b.broker, err = c.Broker.open(ctx, a.log); err != nil {
		return nil, err
	}
	if b.project, err = project.Open(c.Dir); err != nil {
		b.broker.Close()
		return nil, err
	}
	name := b.project.Name()
	if c.Source.SourceURL != "" { // the folder here is another project
		name = path.Base(c.Source.SourceURL)
	}
	b.job = remote.Job{
		Broker: b.broker.Client, As: b.broker.as.Name, AllowUnsealed: c.Job.AllowUnsealed,
		Trust:     &trust.Agents{Known: known, Broker: b.broker.Origin(), Strict: c.Trust.Strict},
		Need:      c.Job.Need(),
		Build:     channel.Build{Project: name, Recipe: c.Job.Recipe, Source: c.Source.Reference()},
		KeepLocal: c.Job.KeepLocal, PlainDTLS: c.Job.PlainDTLS, QueueTimeout: c.Job.QueueTimeout, Events: a.ui.Event, Logger: a.log,
	}
	if reference := b.job.Build.Source; reference != nil {
		b.source = reference.SHA256
		return b, nil
	}
	a.ui.Project(name, b.project.Kind)
	if c.Job.Recipe == "" { // a recipe that the user names may build any kind
		b.job.Need.Kind = string(b.project.Kind)
	}
	b.project.Warn = func(text string) { b.notice(remote.NoticeIgnoreRules, text) }
	if b.job.Source, err = b.project.Scan(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.job.Open, b.source = b.project.OpenFile, provenance.SourceDigest(b.job.Source)
	return b, nil
}

// Close releases the project and the client of the broker.
func (b *building) Close() error {
	b.broker.Close()
	return b.project.Close()
}

// run builds on an agent and stores the artifacts in state; dir is their folder as
// the user named it.
func (b *building) run(ctx context.Context, state *os.Root, dir string) (*console.Built, *artifacts.Set, error) {
	key, err := project.Key(state)
	if err != nil {
		return nil, nil, cli.Fail(cli.Usage, err)
	}
	if !b.fresh {
		if b.job.CacheKey, err = project.CacheKeys(state); err != nil {
			return nil, nil, cli.Fail(cli.Usage, err)
		}
	}
	incoming, err := artifacts.Begin(state)
	if err != nil {
		return nil, nil, err
	}
	logged, err := buildlog.Create(state)
	if err == nil {
		err = b.nameSecrets(state)
	}
	if err != nil {
		return nil, nil, cli.Fail(cli.Usage, errors.Join(err, incoming.Discard()))
	}
	prepared := time.Since(b.start)
	b.job.Need.Project, b.job.Sink = key, incoming.Sink
	b.job.Events = func(e remote.Event) {
		if l, ok := e.(remote.Log); ok {
			lines := make([]string, len(l.Lines))
			for i, line := range l.Lines {
				lines[i] = console.Clean(line, false)
			}
			logged.Add(lines)
		}
		b.ui.Event(e)
	}
	kind, known := recallNAT(state, b.broker.Origin(), time.Now())
	b.job.Need.NAT = kind
	if !known && !b.broker.Loopback() {
		defer learnNAT(ctx, state, b.broker.Origin(), b.broker.ProbeNAT)()
	}
	var set *artifacts.Set
	arrived := false
	b.job.Accept = func(o *remote.Outcome) (err error) {
		arrived = true // Keep cleans up from now on
		if o.Received == nil {
			o.Received = &channel.Manifest{}
		}
		set, err = incoming.Keep(o.Received, o.Result, &artifacts.Expected{
			Key: o.Agent.Key, JobID: o.JobID, Source: b.source, AllowUnsigned: b.config.AllowUnsigned,
			Recipe: b.job.Build.Recipe, Target: b.job.Need.Target, Toolchain: b.job.Need.Toolchain,
		})
		return err
	}
	outcome, err := remote.Run(ctx, b.job)
	if err != nil && !arrived {
		err = errors.Join(err, incoming.Discard())
	}
	at := filepath.Join(filepath.Dir(dir), buildlog.FileName)
	b.ui.BuildLog(logged, at, cli.Code(err) == cli.BuildFailed)
	if closing := logged.Close(); closing != nil {
		b.ui.Say("%v", closing)
	}
	if err != nil {
		return nil, nil, console.FailedBuild(err, logged, at)
	}
	set.Dir = dir
	if b.config.Out != "" {
		if err := set.CopyTo(b.config.Out); err != nil {
			return nil, nil, err
		}
	}
	return console.NewBuilt(outcome, set, prepared+outcome.Setup, prepared+outcome.Total), set, nil
}

func (b *building) notice(code channel.ProblemCode, text string) {
	b.ui.Event(remote.Notice{Problem: channel.Problem{Code: code, Message: text}})
}

// nameSecrets names the files that look like secrets before they are sent for the first
// time.
func (b *building) nameSecrets(state *os.Root) error {
	if b.job.Source == nil {
		return nil
	}
	found, err := b.project.NewSecrets(state, b.job.Source.Files)
	if len(found) > 0 {
		b.notice(remote.NoticeSecretFiles, fmt.Sprintf("these files look like secrets, and the agent will read them: %s; leave out with %s what the build does not need",
			strings.Join(found, ", "), project.IgnoreName))
	}
	return err
}
