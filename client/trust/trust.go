// Package trust decides which agents a client trusts. It keeps known_agents as ssh keeps
// known_hosts, so that a broker cannot pose as an agent:
//
//	known name and key      trusted
//	unknown name            trusted on first use, with a notice to the user;
//	                        refused with --strict-agents
//	known name, other key   refused, with a warning
//
// The client judges an agent before it sends anything, and adds it to known_agents after
// the agent has proved, by a signed answer and by its DTLS certificate, that it holds the
// key. A hostile broker can deceive a client at its first meeting with an agent, as with
// ssh. Against that, the user gets the agent's key from its operator by another way and
// adds it with client agents trust.
package trust

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
)

// FileName is the name of the file in the user's configuration folder.
const FileName = "known_agents"

// Agents judges the agents of one broker. It is safe for concurrent use.
type Agents struct {
	// Known is the user's known_agents file.
	Known *identity.KnownAgents
	// Broker is the broker's origin.
	Broker string
	// Strict refuses unknown agents.
	Strict bool
}

// DefaultFile returns the usual path of known_agents: in $XDG_CONFIG_HOME/farforge, or
// in the system's place for configuration.
func DefaultFile(getenv func(string) string) (string, error) {
	dir := getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // the XDG specification ignores relative paths
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return "", cli.Failf(cli.Usage, "cannot find the folder of %s: %w", FileName, err).
				Hint("name a file with --known-agents")
		}
	}
	return filepath.Join(dir, "farforge", FileName), nil
}

// Principal returns the agent's name in the file.
func (a *Agents) Principal(name string) string { return identity.Principal(name, a.Broker) }

// Vet judges an agent by its key, before the client sends anything to it. Errors are for
// the user.
func (a *Agents) Vet(name string, key ssh.PublicKey) error {
	principal := a.Principal(name)
	if err := identity.CheckStrength(key); err != nil {
		return cli.Failf(cli.Verification, "the agent %s is refused: it has %w", principal, err)
	}
	err := a.Known.Check(principal, key)
	if errors.Is(err, identity.ErrUnknownAgent) {
		if a.Strict {
			return a.unknown(principal, key)
		}
		return nil
	}
	return a.explain(err)
}

// Meet adds an agent that has proved that it holds the key to the file, and reports
// whether the agent is new.
func (a *Agents) Meet(name string, key ssh.PublicKey) (first bool, err error) {
	principal := a.Principal(name)
	err = a.Known.Check(principal, key)
	if err == nil || !errors.Is(err, identity.ErrUnknownAgent) || a.Strict {
		return false, a.explain(err)
	}
	return true, a.explain(a.Known.Trust(principal, key))
}

// Remember adds an agent that the user trusts. It does not replace another key, which the
// user has to forget first.
func Remember(known *identity.KnownAgents, principal string, key ssh.PublicKey) error {
	err := known.Trust(principal, key)
	var changed *identity.ChangedError
	switch {
	case errors.As(err, &changed):
		return cli.Failf(cli.Verification, "%s is trusted with another key already: %s (%s, line %d)", principal, changed.Known, changed.Path, changed.Line).
			Hint(fmt.Sprintf("forget that one first:  client agents forget%s %s", fileFlag(changed.Path), principal))
	case err != nil:
		return cli.Fail(cli.Usage, err)
	}
	return nil
}

func (a *Agents) unknown(principal string, key ssh.PublicKey) error {
	return cli.Failf(cli.Verification, "the agent %s is not known, and --strict-agents trusts no other", principal).Hint(
		"ask its operator, by another way than this broker, whether its key is "+ssh.FingerprintSHA256(key),
		fmt.Sprintf("if it is, trust it:  client agents trust%s %s '%s'", fileFlag(a.Known.Path()), principal, publicLine(key)),
		"or choose known agents with --agent",
	)
}

func (a *Agents) explain(err error) error {
	var changed *identity.ChangedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &changed):
		return Changed(changed)
	case errors.Is(err, identity.ErrUnknownAgent):
		return cli.Fail(cli.Verification, err)
	default:
		return cli.Fail(cli.Usage, err)
	}
}

// Changed returns the user's error for an agent that presents another key than before. It
// has all that a user needs to distinguish a new key from an attack.
func Changed(e *identity.ChangedError) *cli.Error {
	return cli.Failf(cli.Verification, "WARNING: THE IDENTITY OF THE AGENT %s HAS CHANGED", e.Principal).Hint(
		"ANOTHER MACHINE MAY BE POSING AS THIS AGENT, to read your source and to put other firmware on your board: the broker, or an attacker who has taken it over",
		"ask the agent's operator, by another way than this broker, whether the agent was set up anew",
		fmt.Sprintf("known key:      %s  (%s, line %d)", e.Known, e.Path, e.Line),
		fmt.Sprintf("presented key:  %s", e.Got),
		"nothing of your project was sent",
		fmt.Sprintf("if the new key is right, forget the old one:  client agents forget%s %s", fileFlag(e.Path), e.Principal),
		"until then, choose other agents with --agent",
	)
}

// fileFlag returns the flag that names the file in a command; empty for the usual file.
func fileFlag(path string) string {
	if usual, err := DefaultFile(os.Getenv); err == nil && usual == path {
		return ""
	}
	return " --known-agents '" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func publicLine(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// Options select the agents to trust.
type Options struct {
	KnownAgents string // a file; empty is the user's own
	Strict      bool
}

// RegisterKnown defines --known-agents, for verbs without a job.
func (o *Options) RegisterKnown(f *pflag.FlagSet) {
	f.StringVar(&o.KnownAgents, "known-agents", "", "trust the agents in this `FILE` (default known_agents in the user's configuration)")
}

// Register defines all flags.
func (o *Options) Register(f *pflag.FlagSet) {
	o.RegisterKnown(f)
	f.BoolVar(&o.Strict, "strict-agents", false, "refuse unknown agents instead of trusting new ones from then on")
}

// Known returns the file of trusted agents, which need not exist yet.
func (o *Options) Known() (*identity.KnownAgents, error) {
	path := o.KnownAgents
	if path == "" {
		var err error
		if path, err = DefaultFile(os.Getenv); err != nil {
			return nil, err
		}
	}
	return identity.NewKnownAgents(path), nil
}
