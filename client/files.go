package main

import (
	"github.com/spf13/cobra"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/client/project"
)

func (a *app) filesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "files [DIR]",
		Short: "List the files that would be sent to an agent",
		Long: `List the files of the project in DIR, or here, that a build would send to an
agent, one path a line.

Left out are .git and .farforge, the outputs that farforge.toml names, and what
.gitignore and .farforgeignore say. A .farforgeignore has the form of a
.gitignore and wins over it, so it can also take files back in:

  *.pdf
  !generated/

Whatever would stop a build (a device, a symlink out of the project, names that
differ only in case) stops this command too.`,
		Args: folderArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := project.Open(folder(args))
			if err != nil {
				return err
			}
			defer p.Close()
			manifest, err := p.Scan(cmd.Context())
			if err != nil {
				return err
			}
			for _, f := range manifest.Files {
				a.ui.File(f)
			}
			a.ui.Done(console.Report{Files: &console.Listed{Count: len(manifest.Files), Bytes: manifest.Size()}})
			return nil
		},
	}
}
