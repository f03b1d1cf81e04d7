package main

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
	"github.com/farforge/farforge/proxy-agent/source"
)

// Config is the command line.
type Config struct {
	URL       string
	StateDir  string
	Key       string // empty: in StateDir
	ownKey    bool   // Key was empty
	Recipes   string
	Sandbox   string
	Cores     int
	MemoryMB  int
	Jobs      int // 0: as many as there are cores
	Tags      []string
	Name      string
	LogFormat string
	LogLevel  string
	// PassphraseFile holds the passphrase of Key; empty: ask.
	PassphraseFile string
	// SourceHosts may be fetched from; none by default.
	SourceHosts     []string
	SourceMaxSizeMB int // of an archive, MiB
	// KeepCaches is how many caches of projects are kept; 0: none.
	KeepCaches  int
	CacheSizeMB int // of all of them together, MiB
	// RequireSealed refuses offers that the broker can read.
	RequireSealed bool
	// KeepLocal tells clients the agent's local addresses.
	KeepLocal bool
	// Reach is how to get to the broker.
	Reach signaling.Reach
}

// The kinds of sandbox.
const (
	sandboxBubblewrap = "bubblewrap"
	sandboxNone       = "none"
)

// Files in the state directory.
const (
	keyName     = "agent_key"        // the private key
	sealingName = "sealing_key"      // what offers are sealed to
	usedName    = "used-grants.json" // grants that must not count twice
	reachName   = "rendezvous.json"  // how the broker was reached last
)

// validateState fills in where the agent keeps its things.
func (c *Config) validateState() error {
	if c.StateDir == "" {
		return usage(errors.New("--state-dir is missing: the agent's key and workspaces need a place"),
			"name a folder that only the agent can read")
	}
	dir, err := filepath.Abs(c.StateDir)
	if err != nil {
		return usage(fmt.Errorf("--state-dir: %w", err))
	}
	c.StateDir = dir
	if c.Key == "" {
		c.ownKey = true
		c.Key = filepath.Join(c.StateDir, keyName)
	}
	return nil
}

// validateBuild checks what the recipes and run commands share.
func (c *Config) validateBuild() error {
	if c.Sandbox != sandboxBubblewrap && c.Sandbox != sandboxNone {
		return usage(fmt.Errorf("--sandbox: %q is not a sandbox", c.Sandbox), "it must be bubblewrap or none")
	}
	return nil
}

// Validate reports the first flag that is missing or wrong, with what to do
// about it, and fills in what depends on others.
func (c *Config) Validate() error {
	if err := c.validateState(); err != nil {
		return err
	}
	if err := c.validateBuild(); err != nil {
		return err
	}
	if c.URL == "" {
		return usage(errors.New("--url is missing: which broker shall the agent work for?"),
			"give the broker's URL, such as --url https://broker.example.org")
	}
	if _, err := identity.Origin(c.URL); err != nil {
		return usage(fmt.Errorf("--url: %w", err), "give scheme and host, such as https://broker.example.org")
	}
	if err := c.Reach.Validate(); err != nil {
		return usage(err, "doc/reach.md tells how to reach a broker where its name is blocked")
	}
	c.Reach.File = filepath.Join(c.StateDir, reachName)
	if c.Jobs == 0 {
		c.Jobs = max(c.Cores, 1)
	}
	for _, l := range []struct {
		flag string
		bad  bool
		want string
	}{
		{"--cores", c.Cores < 1 || c.Cores > 1024, "between 1 and 1024"},
		{"--memory", c.MemoryMB < 1 || c.MemoryMB > 4<<20, "between 1 and 4194304 MiB"},
		{"--source-max-size", c.SourceMaxSizeMB < 1 || c.SourceMaxSizeMB > 4096, "between 1 and 4096 MiB"},
		{"--jobs", c.Jobs < 1 || c.Jobs > 1024, "between 1 and 1024"},
		{"--keep-caches", c.KeepCaches < 0 || c.KeepCaches > 4096, "between 0 and 4096; 0 keeps none"},
		{"--cache-size", c.CacheSizeMB < 1 || c.CacheSizeMB > 16<<20, "between 1 and 16777216 MiB; --keep-caches 0 keeps none"},
		{"--log-format", c.LogFormat != "text" && c.LogFormat != "json", "text or json"},
	} {
		if l.bad {
			return usage(fmt.Errorf("%s is out of range", l.flag), "it must be "+l.want)
		}
	}
	if err := c.validateTags(); err != nil {
		return err
	}
	if _, err := c.sources(); err != nil {
		return usage(fmt.Errorf("--source-hosts: %w", err), "separate several by commas")
	}
	if err := new(slog.Level).UnmarshalText([]byte(c.LogLevel)); err != nil {
		return usage(fmt.Errorf("--log-level: %w", err), "it must be debug, info, warn or error")
	}
	return nil
}

func (c *Config) validateTags() error {
	if len(c.Tags) > api.MaxTags {
		return usage(fmt.Errorf("--tag: %d tags, and an agent has at most %d", len(c.Tags), api.MaxTags))
	}
	for _, tag := range c.Tags {
		if !api.ValidTag(tag) {
			return usage(fmt.Errorf("--tag: %q is not a tag", tag),
				"a tag has letters, digits and . _ + -, at most 64 of them, such as eu; repeat --tag for each")
		}
	}
	return nil
}

// sources makes what fetches projects that clients name.
func (c *Config) sources() (*source.Fetcher, error) {
	return source.New(source.Config{Hosts: c.SourceHosts, MaxSize: int64(c.SourceMaxSizeMB) << 20})
}

func usage(err error, hints ...string) error { return cli.Fail(cli.Usage, err, hints...) }

// defaultStateDir follows the XDG base directory specification; empty where no
// home directory is known.
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

func defaultCores() int { return runtime.NumCPU() }

// defaultMemory is three quarters of the machine's memory in MiB, where that is
// known.
func defaultMemory() int {
	const unknown = 2048
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return unknown
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			if kib, err := strconv.Atoi(fields[1]); err == nil && kib > 4096 {
				return kib / 1024 * 3 / 4
			}
		}
	}
	return unknown
}

// defaultName is what the key's comment says when nobody names the agent.
func defaultName() string {
	host, err := os.Hostname()
	if err != nil {
		return "agent"
	}
	name, _, _ := strings.Cut(host, ".")
	return name
}
