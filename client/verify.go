package main

import (
	"github.com/spf13/cobra"

	"github.com/farforge/farforge/client/artifacts"
	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/provenance"
)

func (a *app) verifyCommand() *cobra.Command {
	var o trust.Options
	cmd := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Check artifacts against their agent's signed statement",
		Long: `Check offline that every artifact in DIR/.farforge/out, or in DIR itself, is one
that a known agent has signed, and print the agent's statement: the source, the
recipe, the toolchain, the agent and the time of the build.

Standard output lists them as sha256sum does. ssh-keygen can check the
signature too:

  ssh-keygen -Y verify -f ~/.config/farforge/known_agents -I NAME@BROKER \
      -n ` + provenance.Namespace + ` -s provenance.json.sig < provenance.json`,
		Args: folderArg,
		RunE: func(_ *cobra.Command, args []string) error {
			known, err := o.Known()
			if err != nil {
				return err
			}
			v, err := artifacts.Verify(folder(args), project.StateName, known)
			if err != nil {
				return err
			}
			verified := console.NewVerified(v)
			a.list(verified.Dir, verified.Artifacts)
			a.ui.Done(console.Report{Verified: verified})
			return nil
		},
	}
	o.RegisterKnown(cmd.Flags())
	return cmd
}
