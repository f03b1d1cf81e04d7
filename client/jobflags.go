package main

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/credential"
	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/signaling"
)

// What a job asks for when neither flag nor project file says otherwise.
const (
	defaultCores   = 2
	defaultMemory  = cli.Memory(1024)
	defaultTimeout = project.Duration(15 * time.Minute)
)

// jobOptions are the flags of what builds.
type jobOptions struct {
	URL          string
	Target       string
	Recipe       string
	Cores        int
	Memory       cli.Memory
	Timeout      project.Duration
	QueueTimeout time.Duration
	Out          string
	KeepLocal    bool
	choiceOptions
	reachOptions
	signInOptions
	trustOptions
}

func (o *jobOptions) register(f *pflag.FlagSet) {
	f.SortFlags = false
	o.registerURL(f)
	o.registerTarget(f)
	o.choiceOptions.register(f)
	f.StringVar(&o.Recipe, "recipe", "", "build by the agent's recipe of this `NAME`; otherwise it recognises the project")
	f.IntVar(&o.Cores, "cores", 0, "how many cores, a `NUMBER`, the build may use (default 2)")
	f.Var(&o.Memory, "memory", "how much memory the build may use, such as 512M or 2G (default 1G)")
	f.Var(&o.Timeout, "timeout", "how long the job may take on the agent, such as 90s or 15m (default 15m)")
	f.DurationVar(&o.QueueTimeout, "queue-timeout", 5*time.Minute, "how long to wait for an agent to take the job; 0 is for ever")
	f.StringVar(&o.Out, "out", "", "also copy the artifacts to this `FOLDER`")
	f.BoolVar(&o.KeepLocal, "keep-local-addresses", false, "tell the agent this machine's local addresses, also in another network than its own")
	o.reachOptions.register(f)
	o.signInOptions.register(f)
	o.trustOptions.register(f)
}

func (o *jobOptions) registerURL(f *pflag.FlagSet) {
	f.StringVar(&o.URL, "url", "", "the broker's `URL`")
	env(f, "url", "FARFORGE_URL")
}

func (o *jobOptions) registerTarget(f *pflag.FlagSet) {
	f.StringVar(&o.Target, "target", "", "build for this `CHIP`, such as esp32c3")
}

// Validate reports what is wrong before anything is read or asked.
func (o *jobOptions) Validate() error {
	switch {
	case o.URL == "":
		return cli.Failf(cli.Usage, "no broker is given").
			Hint("name it with --url, or once for all in the environment:  export FARFORGE_URL=https://broker.example.org")
	case o.Cores < 0:
		return usage("--cores: %d is less than one", o.Cores)
	case o.QueueTimeout < 0:
		return usage("--queue-timeout: %v is negative", o.QueueTimeout)
	}
	return cmp.Or(o.choiceOptions.Validate(), o.reachOptions.Validate(), o.signInOptions.Validate())
}

// introducer is the way to a broker, and who asks it.
type introducer struct {
	*signaling.Client
	as *credential.Credential
}

func (i *introducer) Close() {
	i.Client.Close()
	i.as.Close()
}

// broker returns the way to the broker.
func (o *jobOptions) broker(ctx context.Context, log *slog.Logger) (*introducer, error) {
	config := signaling.Config{URL: o.URL, UserAgent: "farforge-client/" + version(), Logger: log}
	if _, err := signaling.New(config); err != nil {
		return nil, cli.Fail(cli.Usage, err, "a broker's URL looks like https://broker.example.org")
	}
	ways, err := o.ways(o.URL, log)
	if err != nil {
		return nil, err
	}
	config.Ways = ways
	as, err := o.signInOptions.Open(config, credential.AskOnTerminal(ctx), os.Getenv)
	if err != nil {
		return nil, err
	}
	config.Token = as.Token
	c, err := signaling.New(config)
	if err != nil {
		as.Close()
		return nil, cli.Fail(cli.Usage, err)
	}
	return &introducer{c, as}, nil
}

// need is what to ask of the broker: the flags, then the project file.
func (o *jobOptions) need(c project.Config) api.GrantRequest {
	timeout := time.Duration(cmp.Or(o.Timeout, c.Timeout, defaultTimeout))
	tags := o.Tags
	if len(tags) == 0 {
		tags = c.Tags
	}
	return api.GrantRequest{
		CPUCores:      capacity.CoreShare(cmp.Or(o.Cores, c.Cores, defaultCores)),
		MemoryMB:      int(cmp.Or(o.Memory, c.Memory, defaultMemory)),
		TimeoutSecs:   int((timeout + time.Second - 1) / time.Second),
		Target:        cmp.Or(o.Target, c.Target),
		Toolchain:     cmp.Or(o.Toolchain, c.Toolchain),
		Tags:          tags,
		Agents:        o.Agents,
		ExcludeAgents: o.ExcludeAgents,
		Explain:       o.Explain,
	}
}
