package main

import (
	"context"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/proxy-agent/source"
)

const longHelp = `The agent builds other people's projects on this machine. It asks a broker for
work over ordinary HTTPS requests that it makes itself, so it can sit behind NAT and
needs no open port. Clients connect to it peer to peer; the broker never sees
source, logs or firmware.

To set it up:

  1. proxy-agent keygen
     prints a line for the broker's file of authorized agents.
  2. proxy-agent recipes
     shows what this machine can build, and what is missing for the rest.
  3. proxy-agent run --url https://broker.example.org

Builds run in a sandbox made by bubblewrap: no network, nothing of this machine to
read but its programs, nothing to write but a private workspace and, where a
recipe keeps one, the project's cache. The agent needs no root and should not
have it.

The broker is not believed: the agent checks every grant itself, against keys that
it pins at the first contact, signs its answers so that clients know whom they
reach, and signs what it built.

The first SIGINT or SIGTERM drains: no new jobs, those under way end. The second
stops them. The third leaves at once.

doc/agent.md tells the rest.`

const runExamples = `  proxy-agent run --url https://broker.example.org
  proxy-agent run --url https://broker.example.org --cores 4 --memory 8192 --recipes ~/recipes
  proxy-agent run --url https://broker.example.org --tag eu --tag gpu
  proxy-agent run --url https://broker.example.org --key ~/.ssh/id_ed25519.pub
  proxy-agent run --url https://broker.example.org --source-hosts github.com,codeload.github.com`

// program is what all commands share besides their flags.
type program struct {
	ctx            context.Context
	drain          <-chan struct{}
	stdin          *os.File
	stdout, stderr io.Writer
}

func newCommand(p program) *cobra.Command {
	cfg := &Config{}
	serve := func(*cobra.Command, []string) error {
		if err := cfg.Validate(); err != nil {
			return err
		}
		return p.run(cfg)
	}
	root := &cobra.Command{
		Use:           "proxy-agent",
		Short:         "Build projects for clients far away",
		Long:          longHelp,
		Example:       runExamples,
		Version:       version(),
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          serve,
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return cli.Fail(cli.Usage, err, "see "+cmd.CommandPath()+" --help")
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	runFlags(root.Flags(), cfg)

	run := &cobra.Command{
		Use:     "run",
		Short:   "Take jobs from a broker (what proxy-agent does without a command, too)",
		Example: runExamples,
		Args:    cobra.NoArgs,
		RunE:    serve,
	}
	runFlags(run.Flags(), cfg)
	root.AddCommand(run, keygenCommand(p, cfg), recipesCommand(p, cfg))
	return root
}

func stateFlags(f *pflag.FlagSet, cfg *Config) {
	f.SortFlags = false
	f.StringVar(&cfg.StateDir, "state-dir", defaultStateDir(), "the `DIR` that keeps the agent's key, the broker's pinned keys and the workspaces; it is made if need be")
	f.StringVar(&cfg.Key, "key", "", "the agent's key, a `FILE` in OpenSSH format: private, or public if ssh-agent holds the private half (default agent_key in the state directory)")
	f.StringVar(&cfg.PassphraseFile, "passphrase-file", "", "a `FILE` with the key's passphrase, readable by its owner only; without it, it is asked for")
	f.StringVar(&cfg.Name, "name", defaultName(), "what the agent is called, a `NAME` for logs and the key's comment")
}

func buildFlags(f *pflag.FlagSet, cfg *Config) {
	f.SortFlags = false
	f.StringVar(&cfg.Recipes, "recipes", "", "a `DIR` with recipes of your own, *.toml")
	f.StringVar(&cfg.Sandbox, "sandbox", sandboxBubblewrap, "`KIND` of sandbox: bubblewrap, or none if you trust every client with this account")
}

func runFlags(f *pflag.FlagSet, cfg *Config) {
	f.SortFlags = false
	f.StringVar(&cfg.URL, "url", "", "the broker's `URL`, such as https://broker.example.org")
	cfg.Reach.Register(f, false)
	stateFlags(f, cfg)
	buildFlags(f, cfg)
	f.IntVar(&cfg.Cores, "cores", defaultCores(), "processor cores that all jobs together may use, a `NUMBER`")
	f.IntVar(&cfg.MemoryMB, "memory", defaultMemory(), "memory that all jobs together may use, in `MiB`")
	f.IntVar(&cfg.Jobs, "jobs", 0, "jobs at a time, a `NUMBER` (default as many as cores)")
	f.StringArrayVar(&cfg.Tags, "tag", nil, "what clients can ask for besides target and toolchain, a `NAME` such as eu or gpu; may be repeated")
	f.IntVar(&cfg.KeepCaches, "keep-caches", 16, "how many caches, a `NUMBER`, to keep for the next builds of their projects, where recipes ask for that; 0 keeps none")
	f.IntVar(&cfg.CacheSizeMB, "cache-size", 2048, "how large all these caches together may be, in `MiB`")
	f.StringSliceVar(&cfg.SourceHosts, "source-hosts", nil, "let clients name archives on these hosts instead of uploading: `HOST[,HOST]`, each with :PORT unless that is 443 (default none)")
	f.IntVar(&cfg.SourceMaxSizeMB, "source-max-size", source.DefaultMaxSize>>20, "the largest such archive, in `MiB`")
	f.BoolVar(&cfg.KeepLocal, "keep-local-addresses", false, "tell clients this machine's local addresses, also in another network than its own")
	f.BoolVar(&cfg.RequireSealed, "require-sealed", false, "refuse offers that the broker could read; clients of other makers may send such")
	f.StringVar(&cfg.LogFormat, "log-format", "text", "`FORMAT` of the log on standard error: text or json")
	f.StringVar(&cfg.LogLevel, "log-level", "info", "least `LEVEL` that is logged: debug, info, warn or error")
}

// version is the module's, as the Go toolchain recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
