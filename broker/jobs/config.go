package jobs

import (
	"cmp"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/broker/history"
	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/grant"
)

// Limits are the operator's policy: the most that one grant may give.
type Limits struct {
	Channels int
	Cores    int
	MemoryMB int
	Session  time.Duration
}

// Relay provides TURN servers for the peers of a job.
type Relay interface {
	// ICEServers returns servers for a job of the owner, whose credentials are
	// valid during life. An owner's jobs share the relay's bounds.
	ICEServers(jobID, owner string, life time.Duration) []api.ICEServer
}

// Config configures a [Board]. Fields without a default must be set.
type Config struct {
	// Origin is the broker's own name, such as "https://broker.example.org".
	Origin string
	// Signer signs grants; Keys verifies them (default: the signer's key).
	// [Board.UseKeys] replaces both.
	Signer *grant.Signer
	Keys   *grant.KeySet
	// Secret derives the keys of projects; at least 32 bytes.
	Secret    []byte
	Directory *directory.Directory
	// History stores the results of agents across restarts. Nil stores nothing.
	// It belongs to the caller.
	History *history.Store
	// Users are the users who may request grants. Default: none.
	Users *users.Registry
	// Accounts counts the usage of users. Default: one without limits.
	Accounts *quota.Accounts
	// RequireSealed refuses offers that the broker could read.
	RequireSealed bool
	// ICEServers are for both peers of every job.
	ICEServers []api.ICEServer
	// Relay makes ICE servers for each job, which come first. Nil makes none.
	Relay Relay

	// Limits caps grants. Defaults: api.MaxChannels, 64 cores, 128 GiB, 1 h.
	Limits Limits
	// AnswerTimeout is how long a claim lasts. Default: api.AnswerTimeout.
	AnswerTimeout time.Duration
	// AgentGrace is how long an agent counts as alive after its last poll ended.
	// Default: 20 s.
	AgentGrace time.Duration
	// MaxCandidates is how many agents may claim one job. Default: 8.
	MaxCandidates int
	// Memory is how long a job is kept after its last use, as long as no agent
	// has answered it. Default: api.JobMemory.
	Memory time.Duration
	// AnswerMemory is how long an answer is kept once the client has had it, in
	// case it was lost on the way. Default: 10 s.
	AnswerMemory time.Duration
	// MaxJobs bounds the jobs in memory, and MaxBytes their offers and answers.
	// Defaults: 200 000 jobs, 512 MiB. Above half of MaxJobs, jobs whose client
	// has had the answer are forgotten after AnswerMemory.
	MaxJobs  int64
	MaxBytes int64

	// Logger gets one line per job, and warnings for the operator. Default:
	// nothing is logged.
	Logger *slog.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// maxMail bounds the candidates of all jobs in memory, in bytes.
const maxMail = 64 << 20

// maxCandidates is the width of Job.excluded.
const maxCandidates = 64

// maxRefusals is how often an agent may refuse one job before it no longer gets
// the job. An agent may get a job that does not fit if its status was still on the
// way; its next status is right.
const maxRefusals = 3

// sessionGrace is how long after a session's end the agent's reservation ends
// without a report.
const sessionGrace = time.Minute

// maxQueued is the longest that a job may have waited before its session began,
// when reports and confirmations are checked.
const maxQueued = time.Hour

// reportMemory is how long the record of a job is kept after report and
// confirmation, so that repeated ones do not count twice.
const reportMemory = 10 * time.Minute

// SetDefaults fills in the fields that are not set. [New] calls it.
func (c *Config) SetDefaults() error {
	switch {
	case c.Origin == "":
		return errors.New("broker jobs: the origin is not set")
	case c.Signer == nil:
		return errors.New("broker jobs: there is no key to sign grants with")
	case len(c.Secret) < 32:
		return errors.New("broker jobs: the secret is shorter than 32 bytes")
	case c.Directory == nil:
		return errors.New("broker jobs: there is no directory of agents")
	}
	if c.Keys == nil {
		c.Keys = grant.NewKeySet(c.Signer.Public())
	}
	if c.Users == nil {
		c.Users = &users.Registry{}
	}
	if c.Accounts == nil {
		c.Accounts = quota.NewAccounts(quota.Limits{})
	}
	if c.ICEServers == nil {
		c.ICEServers = []api.ICEServer{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	orDefault(&c.Limits.Channels, api.MaxChannels)
	orDefault(&c.Limits.Cores, 64)
	orDefault(&c.Limits.MemoryMB, 128<<10)
	orDefault(&c.Limits.Session, time.Hour)
	orDefault(&c.AnswerTimeout, api.AnswerTimeout)
	orDefault(&c.AgentGrace, 20*time.Second)
	orDefault(&c.MaxCandidates, 8)
	orDefault(&c.Memory, api.JobMemory)
	orDefault(&c.AnswerMemory, 10*time.Second)
	orDefault(&c.MaxJobs, 200_000)
	orDefault(&c.MaxBytes, 512<<20)
	return nil
}

// orDefault replaces a value that is not positive.
func orDefault[T cmp.Ordered](v *T, fallback T) {
	var zero T
	if *v <= zero {
		*v = fallback
	}
}

// Register defines the flags and their defaults.
func (c *Config) Register(f *pflag.FlagSet) {
	f.DurationVar(&c.Limits.Session, "max-session", time.Hour, "grant sessions of at most this `TIME`")
	f.IntVar(&c.Limits.Cores, "max-cores", 64, "grant a job at most `N` cores")
	c.Limits.MemoryMB = 128 << 10
	f.Var((*cli.Memory)(&c.Limits.MemoryMB), "max-memory", "grant a job at most this `SIZE` of memory")
	f.DurationVar(&c.AnswerTimeout, "answer-timeout", api.AnswerTimeout, "offer a job to the next agent after this `TIME` without an answer")
	f.BoolVar(&c.RequireSealed, "require-sealed", false, "refuse offers in plain text, which browsers and older clients send")
	cli.ListVar(f, &c.ICEServers, "ice-server", ",", parseSTUN, "let peers use the STUN server at this `URL`; may be repeated")
}

// Validate reports the first wrong option.
func (c *Config) Validate() error {
	return cmp.Or(
		cli.Require(c.Limits.Session > 0 && c.Limits.Session <= 24*time.Hour, "--max-session", "at most 24h"),
		cli.Require(c.Limits.Cores > 0, "--max-cores", "more than 0"),
		cli.Require(c.AnswerTimeout >= 100*time.Millisecond, "--answer-timeout", "between 100ms and --max-wait"),
	)
}

func parseSTUN(text string) (api.ICEServer, error) {
	if !strings.HasPrefix(text, "stun:") && !strings.HasPrefix(text, "stuns:") {
		return api.ICEServer{}, cli.Usagef("%q is not a STUN URL", text).Hint("it looks like stun:stun.example.org:3478")
	}
	return api.ICEServer{URLs: []string{text}}, nil
}
