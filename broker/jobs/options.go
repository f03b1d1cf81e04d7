package jobs

import (
	"cmp"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

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
