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

They are the files that git would take: all that it tracks, and all that no rule of
.gitignore, .git/info/exclude and core.excludesFile leaves out. .git, .farforge and
the outputs that farforge.toml names are always left out, and so is what builds of
this kind of project make, such as build/ or .pio/. A .farforgeignore has the form
of a .gitignore and outweighs all of these, so it can also include files again:

  *.pdf
  !generated/

A file that would stop a build (a device, a symlink out of the project, names that
differ only in case) also stops this command.`,
		Args: folderArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := project.Open(folder(args))
			if err != nil {
				return err
			}
			defer p.Close()
			p.Warn = func(text string) { a.ui.Say("%s", text) }
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
