package command

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/common/front"
)

// FrontingTopic explains the flags that reach a broker whose name is blocked.
func FrontingTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "fronting",
		Short: "How to reach a broker whose name is blocked",
		Long: `Where the name of a broker is blocked, requests can go to another host of the same
content delivery network, which passes them on. DNS and TLS show only the name of
that host. The broker's operator knows which hosts work.

  --front HOST[,HOST]   hosts to try, in random order
  --rendezvous WAYS     ways to try, in this order: direct, front, and for clients
                        amp; without it, fronts are used if they are given, and
                        the broker is then never contacted directly
  --utls-imitate NAME   make the TLS handshake look like a browser's, because some
                        networks block handshakes of unknown programs

The names that --utls-imitate accepts:

  ` + strings.Join(front.Names(), "\n  ") + `

See doc/reach.md.`,
	}
}
