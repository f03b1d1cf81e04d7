package trust

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
			return "", cli.Failf(cli.Usage, "there is no place for %s: %w", FileName, err).
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

// Meet adds an agent that has proved to hold the key to the file, and tells whether it is
// new.
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
