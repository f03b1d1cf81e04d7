// Package build turns a project's source into artifacts, by recipe.
//
// A recipe is data: a small TOML file that says how to find a toolchain, how
// to recognize a project, which command builds it, and which files are the
// result. The agent has no code for any toolchain. doc/recipes.md describes the
// format.
//
//	recipes ── Detect, in the sandbox ──▶ Catalog: what works on this machine
//	                                         │
//	source ── into a Workspace ── Choose ────┤ the recipe that recognizes it
//	                                         ▼
//	                              Run: the command, in the sandbox
//	                                         ▼
//	                              Collect: artifacts, SHA-256, flash map
//
// Errors for a client to read are *channel.Problem.
package build

// Recipe is one recipe file. It does not change after Parse.
type Recipe struct {
	Name        string   `toml:"name"`
	Description string   `toml:"description"`
	Targets     []string `toml:"targets"` // chips, such as "esp32c3"

	Toolchain Toolchain `toml:"toolchain"`
	Project   Project   `toml:"project"`
	Build     Command   `toml:"build"`
	Artifacts Wanted    `toml:"artifacts"`
	Flash     Flash     `toml:"flash"`

	// Source is the recipe's file, for messages.
	Source string `toml:"-"`
}

// Toolchain says how to find the compiler.
type Toolchain struct {
	Name string `toml:"name"`
	// Detect lists commands, each as its arguments, that print a version. The
	// first one that works decides.
	Detect [][]string `toml:"detect"`
	// Version is a regular expression whose one group is the version.
	Version string `toml:"version"`
	// Needs lists further commands that must exist.
	Needs []string `toml:"needs"`
	// Paths are visible read-only in the sandbox, in addition to /usr.
	Paths []string `toml:"paths"`
	// Env is set for detection and build, verbatim.
	Env map[string]string `toml:"env"`
}

// Project says how to recognize a project that the recipe can build.
type Project struct {
	// Kind is the kind of project, such as "esp-idf", as clients name it. It may
	// be empty.
	Kind     string     `toml:"kind"`
	Files    []string   `toml:"files"` // all must exist
	Contains []Contains `toml:"contains"`
}

// Contains is a text that must be in a file.
type Contains struct {
	File string `toml:"file"`
	Text string `toml:"text"`
}

// Command builds the project, in its top directory.
type Command struct {
	Command []string `toml:"command"`
	// Out is the directory for the build's output, relative to the project.
	Out string            `toml:"out"`
	Env map[string]string `toml:"env"`
	// Cache gives the build a folder, {cache}, that the agent keeps for the
	// project's next build; see Caches.
	Cache bool `toml:"cache"`
}

// Wanted says which files of Out go to the client.
type Wanted struct {
	// Files are patterns of path.Match, relative to Out. Each must match.
	Files []string `toml:"files"`
	// ELF is the pattern of the one file with the debug symbols, which
	// backtraces need. It may be empty.
	ELF string `toml:"elf"`
}

// Flash says where the images go: in a flasher_args.json that the build writes,
// or in the recipe. Without either there is nothing to flash.
type Flash struct {
	FlasherArgs string `toml:"flasher_args"` // relative to Out

	Mode   string  `toml:"mode"`
	Freq   string  `toml:"freq"`
	Size   string  `toml:"size"`
	Images []Image `toml:"images"`
}

// Image is one declared image.
type Image struct {
	Name   string `toml:"name"`
	Offset uint32 `toml:"offset"`
	File   string `toml:"file"` // a pattern of path.Match that matches one file
}

// declared reports whether the recipe lists the images.
func (f *Flash) declared() bool { return len(f.Images) > 0 }
