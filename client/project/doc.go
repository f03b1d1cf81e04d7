// Package project decides which files of a folder are sent to an agent, and
// reads the project file in which a user states what to build them for.
//
//	DIR/
//	├── farforge.toml      the project file; see [Config]
//	├── .gitignore         left out: what git ignores, in any folder,
//	├── .farforgeignore    then what these say, which win
//	├── main.c             sent
//	├── .git/              never sent
//	└── .farforge/         never sent: artifacts, written by the client
//
// Files are read through an [os.Root], so that no symlink, not even one that
// appears while the client runs, makes it send what lies outside DIR.
//
// What cannot be sent as it is (a device, a socket, a symlink that leads out,
// two names that differ only in case, a file that cannot be read) is an error
// rather than left out in silence: an incomplete tree builds something else.
package project

// Names with a meaning in a project's folder.
const (
	// ConfigName is the project file.
	ConfigName = "farforge.toml"
	// StateName is the folder that the client writes to.
	StateName = ".farforge"
	// IgnoreName holds rules as .gitignore does; they win over those.
	IgnoreName = ".farforgeignore"

	gitIgnoreName = ".gitignore"
	gitName       = ".git"
)
