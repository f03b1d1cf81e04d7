// Package project finds out the kind of a project, decides which of its files are sent
// to an agent, and reads the project file.
//
//	DIR/
//	├── farforge.toml      the project file; see [Config]
//	├── .gitignore         rules of git
//	├── .farforgeignore    rules of the client, which override git's
//	├── main.c             sent
//	├── build/             left out: an output of this kind of project
//	├── .git/              never sent
//	└── .farforge/         never sent: artifacts, written by the client
//
// The files are those that git would take: all that it tracks, and all others that its
// rules do not exclude. Each submodule and each repository within a repository has its
// own rules, as in git. The strongest rule decides:
//
//	.farforgeignore                    the deepest first
//	git's index                        tracked files are sent
//	.gitignore                         the deepest first, up to the repository's top
//	.git/info/exclude
//	core.excludesFile
//	outputs of the kind of project     build/, .pio/, target/, …
//
// Files are read through an [os.Root], so that no symlink, not even one that
// appears while the client runs, makes it send files outside DIR.
//
// A file that cannot be sent unchanged (a device, a socket, a symlink that leads out,
// two names that differ only in case, a file that cannot be read) is an error, because
// an incomplete tree builds another program.
package project

// Names with a meaning in the folder of a project.
const (
	// ConfigName is the project file.
	ConfigName = "farforge.toml"
	// StateName is the folder that the client writes to.
	StateName = ".farforge"
	// IgnoreName holds rules in the form of .gitignore, which override those of git.
	IgnoreName = ".farforgeignore"

	gitIgnoreName = ".gitignore"
	gitName       = ".git"
)
