package remote

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flash/chips"
	"github.com/farforge/farforge/common/peer"
	"github.com/farforge/farforge/common/toolchain"
)

// Options are the user's choices for a job.
type Options struct {
	Target    string
	Toolchain string
	Recipe    string
	Tags      []string
	// Agents and ExcludeAgents are names or fingerprints.
	Agents, ExcludeAgents []string
	// Explain shows the broker's reasons for the candidates.
	Explain bool

	Cores   int
	Memory  cli.Memory
	Timeout time.Duration
	// QueueTimeout bounds the wait for an agent; 0 waits forever.
	QueueTimeout time.Duration

	KeepLocal     bool
	PlainDTLS     bool
	AllowUnsealed bool
}

// chipName is the flag of a chip, in any spelling.
type chipName string

func (c *chipName) String() string { return string(*c) }
func (c *chipName) Type() string   { return "string" }
func (c *chipName) Set(name string) error {
	*c = chipName(chips.Canonical(name))
	return nil
}

// RegisterTarget defines --target, for verbs without a build.
func (o *Options) RegisterTarget(f *pflag.FlagSet) {
	f.Var((*chipName)(&o.Target), "target", "build for this `CHIP`, such as esp32c3")
}

// RegisterAble defines the flags about what an agent must be able to do.
func (o *Options) RegisterAble(f *pflag.FlagSet) {
	o.RegisterTarget(f)
	f.StringVar(&o.Toolchain, "toolchain", "", "build with this toolchain: `NAME[@VERSION]`, such as esp-idf or esp-idf@~5.3.1")
	f.StringArrayVar(&o.Tags, "tag", nil, "use only agents with this `TAG`, such as eu; may be repeated, and all must match")
}

// RegisterJob defines the flags about a job's needs and limits.
func (o *Options) RegisterJob(f *pflag.FlagSet) {
	o.RegisterAble(f)
	f.StringVar(&o.Recipe, "recipe", "", "build by the agent's recipe of this `NAME` (default the one that fits the project)")
	f.IntVar(&o.Cores, "cores", 2, "let the build use `N` processor cores")
	o.Memory = 1024
	f.Var(&o.Memory, "memory", "let the build use this `SIZE` of memory, such as 512M or 2G")
	f.DurationVar(&o.Timeout, "timeout", 15*time.Minute, "end the job on the agent after this `TIME`")
	f.DurationVar(&o.QueueTimeout, "queue-timeout", 5*time.Minute, "wait at most this `TIME` for an agent; 0 waits forever")
}

// RegisterAgents defines the flags about single agents.
func (o *Options) RegisterAgents(f *pflag.FlagSet) {
	f.StringArrayVar(&o.Agents, "agent", nil, "use only the agent of this `NAME` or fingerprint; may be repeated")
	f.StringArrayVar(&o.ExcludeAgents, "exclude-agent", nil, "never use the agent of this `NAME` or fingerprint; may be repeated")
	f.BoolVar(&o.Explain, "explain", false, "show which agents could build, best first, and why")
	f.BoolVar(&o.KeepLocal, "keep-local-addresses", false, "send this machine's local addresses to the agent, even to another network")
	peer.RegisterDTLS(f, &o.PlainDTLS)
	f.BoolVar(&o.AllowUnsealed, "allow-unsealed", false, "let the broker read the offer if an agent has no key to seal it to")
}

// Validate reports the first wrong option of a job. Those that Register methods
// did not define must be zero.
func (o *Options) Validate() error {
	return cmp.Or(
		o.ValidateAble(),
		cli.Require(o.Cores >= 1, "--cores", "1 or more"),
		cli.Require(o.Timeout >= time.Second, "--timeout", "a second or more"),
		cli.Require(o.QueueTimeout >= 0, "--queue-timeout", "0, which waits forever, or more"),
		named("--agent", o.Agents),
		named("--exclude-agent", o.ExcludeAgents),
		o.contradiction(),
	)
}

// ValidateAble reports the first wrong option of [Options.RegisterAble].
func (o *Options) ValidateAble() error {
	if _, err := toolchain.Parse(o.Toolchain); err != nil {
		return cli.Usagef("--toolchain: %w", err).
			Hint("esp-idf@5.3 accepts 5.3.1, esp-idf@~5.3.1 later patches of 5.3, esp-idf@^5.1 all of 5 from 5.1 on, 'esp-idf@>=5.1,<5.4' a range")
	}
	if len(o.Tags) > api.MaxTags {
		return cli.Usagef("--tag: %d tags, and a job has at most %d", len(o.Tags), api.MaxTags)
	}
	for _, tag := range o.Tags {
		if !api.ValidTag(tag) {
			return cli.Usagef("--tag: %q is not a tag such as eu", tag).Hint("repeat --tag for each")
		}
	}
	return nil
}

func named(flag string, agents []string) error {
	switch {
	case len(agents) > api.MaxAgents:
		return cli.Usagef("%s: %d agents, and a job names at most %d", flag, len(agents), api.MaxAgents)
	case slices.Contains(agents, ""):
		return cli.Usagef("%s: an agent's name or fingerprint cannot be empty", flag)
	}
	return nil
}

func (o *Options) contradiction() error {
	for _, agent := range o.ExcludeAgents {
		if slices.Contains(o.Agents, agent) {
			return cli.Usagef("--agent and --exclude-agent both name %s", agent)
		}
	}
	return nil
}

// Need returns the request for a grant. [Run] fills in the rest.
func (o *Options) Need() api.GrantRequest {
	return api.GrantRequest{
		CPUCores: capacity.CoreShare(o.Cores), MemoryMB: int(o.Memory), TimeoutSecs: int((o.Timeout + time.Second - 1) / time.Second),
		Target: o.Target, Toolchain: o.Toolchain, Tags: o.Tags,
		Agents: o.Agents, ExcludeAgents: o.ExcludeAgents, Explain: o.Explain,
	}
}

// SourceOptions name a project that the agent fetches.
type SourceOptions struct {
	SourceURL    string
	SourceSHA256 string
	SourceStrip  int
}

// maxStrip bounds --source-strip. No archive has more leading folders.
const maxStrip = 64

// Register defines the flags and their defaults.
func (o *SourceOptions) Register(f *pflag.FlagSet) {
	f.StringVar(&o.SourceURL, "source-url", "", "let the agent fetch the archive at this `URL` instead of sending DIR")
	f.StringVar(&o.SourceSHA256, "source-sha256", "", "demand that the archive has this SHA-256, in `HEX`")
	f.IntVar(&o.SourceStrip, "source-strip", 0, "remove `N` leading folders from the archive's paths")
}

// Validate reports the first wrong option.
func (o *SourceOptions) Validate() error {
	if o.SourceURL == "" {
		if o.SourceSHA256 != "" || o.SourceStrip != 0 {
			return cli.Usagef("--source-sha256 and --source-strip need --source-url")
		}
		return nil
	}
	u, err := url.Parse(o.SourceURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return cli.Usagef("--source-url: %q is not like https://example.org/project.tar.gz", o.SourceURL)
	case u.User != nil:
		return cli.Usagef("--source-url: it has a user name or a password in it, and the agent would see them")
	case o.SourceSHA256 == "":
		return cli.Usagef("--source-url needs --source-sha256: without it, an archive could be exchanged on its way").
			Hint("get it with sha256sum")
	case len(o.SourceSHA256) != 64 || strings.Trim(o.SourceSHA256, "0123456789abcdefABCDEF") != "":
		return cli.Usagef("--source-sha256: %q is not a SHA-256 in hexadecimal", o.SourceSHA256)
	case o.SourceStrip < 0 || o.SourceStrip > maxStrip:
		return cli.Usagef("--source-strip: %d is not between 0 and %d", o.SourceStrip, maxStrip)
	}
	return nil
}

// Reference returns the agent's instruction, or nil for a project on this
// machine.
func (o *SourceOptions) Reference() *channel.Source {
	if o.SourceURL == "" {
		return nil
	}
	return &channel.Source{URL: o.SourceURL, SHA256: strings.ToLower(o.SourceSHA256), StripComponents: o.SourceStrip}
}
