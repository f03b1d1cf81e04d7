package main

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
	"github.com/farforge/farforge/proxy-agent/build"
	"github.com/farforge/farforge/proxy-agent/sandbox"
	"github.com/farforge/farforge/proxy-agent/session"
	"github.com/farforge/farforge/proxy-agent/source"
	"github.com/farforge/farforge/proxy-agent/worker"
)

// Config composes the options of the agent's packages.
type Config struct {
	URL     string
	State   stateConfig
	Reach   signaling.Reach
	Build   build.Options
	Sandbox sandbox.Options
	Worker  worker.Config
	Source  source.Config
	Session session.Config
	Log     cli.LogConfig
}

// Register defines the flags of run, by headings.
func (c *Config) Register(f *pflag.FlagSet) {
	cli.Section(f, "Broker", c.registerURL, func(f *pflag.FlagSet) { c.Reach.Register(f, false) })
	cli.Section(f, "Agent", c.State.Register, c.Worker.RegisterTags)
	cli.Section(f, "Builds", c.Build.RegisterRecipes, c.Sandbox.Register, c.Worker.RegisterCapacity, c.Build.RegisterDisk, c.Build.RegisterCaches)
	cli.Section(f, "Sources by URL", c.Source.Register)
	cli.Section(f, "Connections", c.Session.Register)
	cli.Section(f, "Log", c.Log.Register)
}

func (c *Config) registerURL(f *pflag.FlagSet) {
	f.StringVar(&c.URL, "url", "", "take jobs from the broker at this `URL`, such as https://broker.example.org")
}

// Validate reports the first flag that is missing or wrong, with what to do
// about it, and fills in values that depend on others.
func (c *Config) Validate() error {
	return cmp.Or(
		c.State.Validate(),
		c.Sandbox.Validate(),
		c.validateURL(),
		c.validateReach(),
		c.Worker.Validate(),
		c.Build.Validate(),
		c.Source.Validate(),
		c.Log.Validate(),
	)
}

func (c *Config) validateURL() error {
	if c.URL == "" {
		return cli.Usagef("--url is missing: the agent needs a broker to take jobs from").
			Hint("give the broker's URL, such as --url https://broker.example.org")
	}
	if _, err := identity.Origin(c.URL); err != nil {
		return cli.Usagef("--url: %w", err).Hint("give scheme and host, such as https://broker.example.org")
	}
	return nil
}

func (c *Config) validateReach() error {
	c.Reach.File = filepath.Join(c.State.Dir, reachName)
	if err := c.Reach.Validate(); err != nil {
		return cli.Fail(cli.Usage, err, "see doc/reach.md and proxy-agent help fronting")
	}
	return nil
}

// Files in the state directory.
const (
	keyName     = "agent_key"       // the private key
	sealingName = "sealing_key"     // what offers are sealed to
	usedName    = "used-grants"     // grants that must not be used twice
	reachName   = "rendezvous.json" // how the broker was reached last
)

// stateConfig says where the agent keeps its key and its other files.
type stateConfig struct {
	Dir            string
	Key            string
	ownKey         bool   // Key is in Dir, because no flag names one
	PassphraseFile string // of Key; empty: ask on the terminal
	Name           string
}

// RegisterDir defines --state-dir, for verbs that need no key.
func (c *stateConfig) RegisterDir(f *pflag.FlagSet) {
	f.StringVar(&c.Dir, "state-dir", defaultStateDir(), "keep the agent's key, pinned keys and workspaces in `DIR`")
	cli.Default(f, "state-dir", "~/.local/state/farforge-agent")
}

// Register defines the flags and their defaults.
func (c *stateConfig) Register(f *pflag.FlagSet) {
	c.RegisterDir(f)
	f.StringVar(&c.Key, "key", "", "use the OpenSSH key in `FILE`, or a .pub with ssh-agent (default agent_key in --state-dir)")
	f.StringVar(&c.PassphraseFile, "passphrase-file", "", "read the key's passphrase from this private `FILE` (default ask)")
	f.StringVar(&c.Name, "name", defaultName(), "call the agent `NAME` in logs and in its key's comment")
	cli.Default(f, "name", "the host's name")
}

// Validate reports the first wrong option and fills in the key's place.
func (c *stateConfig) Validate() error {
	if c.Dir == "" {
		return cli.Usagef("--state-dir is missing: the agent's key and workspaces need a place").
			Hint("name a folder that only the agent can read")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return cli.Usagef("--state-dir: %w", err)
	}
	c.Dir = dir
	if c.Key == "" {
		c.Key, c.ownKey = filepath.Join(c.Dir, keyName), true
	}
	return nil
}

// defaultStateDir follows the XDG base directory specification; it is empty
// where no home directory is known.
func defaultStateDir() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "farforge-agent")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "state", "farforge-agent")
}

func defaultName() string {
	host, err := os.Hostname()
	if err != nil {
		return "agent"
	}
	name, _, _ := strings.Cut(host, ".")
	return name
}

func usage(err error, hints ...string) error { return cli.Fail(cli.Usage, err, hints...) }
