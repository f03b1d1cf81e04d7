package trust

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
)

// Changed is the error for an agent that comes with another key than before. It
// is what stands between a user and a broker in the middle, so it says all that
// is needed to judge it.
func Changed(e *identity.ChangedError) *cli.Error {
	return cli.Failf(cli.Verification, "WARNING: THE IDENTITY OF THE AGENT %s HAS CHANGED", e.Principal).Hint(
		"SOMEBODY MAY BE POSING AS THIS AGENT, to read your source and to put other firmware on your board: the broker, or whoever has taken it over",
		"it may also be that the agent was set up anew; ask its operator, by another way than this broker",
		fmt.Sprintf("known key:      %s  (%s, line %d)", e.Known, e.Path, e.Line),
		fmt.Sprintf("presented key:  %s", e.Got),
		"nothing of your project was sent",
		fmt.Sprintf("if the new key is right, forget the old one:  client agents forget%s %s", fileFlag(e.Path), e.Principal),
		"until then, --agent asks for other agents",
	)
}

// fileFlag is the flag that names the file in a command, where it is needed.
func fileFlag(path string) string {
	if usual, err := DefaultFile(os.Getenv); err == nil && usual == path {
		return ""
	}
	return " --known-agents '" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func publicLine(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}
