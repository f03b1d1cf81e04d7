package trust

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
)

// Changed returns the user's error for an agent with another key than before. It has all
// that a user needs to tell a new key from an attack.
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
