// Package build turns a project's source into artifacts, by recipe.
//
// A recipe is data: a small TOML file that says how to find a toolchain, how
// to recognise a project, which command builds it, and what comes out. The
// agent has no code for any toolchain. doc/recipes.md describes the format.
//
//	recipes ── Detect, in the sandbox ──▶ Catalog: what works on this machine
//	                                         │
//	source ── into a Workspace ── Choose ────┤ the recipe that recognises it
//	                                         ▼
//	                              Run: the command, in the sandbox
//	                                         ▼
//	                              Collect: artifacts, SHA-256, flash map
//
// Errors that a client has to read are *channel.Problem.
package build

// Recipe is one recipe file. It is not changed after it was parsed.
type Recipe struct {
	Name        string   `toml:"name"`
	Description string   `toml:"description"`
	Targets     []string `toml:"targets"` // chips, such as "esp32c3"

	Toolchain Toolchain `toml:"toolchain"`
	Project   Project   `toml:"project"`
	Build     Command   `toml:"build"`
	Artifacts Wanted    `toml:"artifacts"`
	Flash     Flash     `toml:"flash"`

	// Source is the file it came from, for messages.
	Source string `toml:"-"`
}

// Toolchain says how to find the compiler and what it is called.
type Toolchain struct {
	Name string `toml:"name"`
	// Detect lists commands, each as its arguments, that print a version; the
	// first that works decides.
	Detect [][]string `toml:"detect"`
	// Version is a regular expression whose one group is the version.
	Version string `toml:"version"`
	// Needs lists further commands that must be there.
	Needs []string `toml:"needs"`
	// Paths are shown read-only in the sandbox, in addition to /usr.
	Paths []string `toml:"paths"`
	// Env is set for detection and build, as it is written.
	Env map[string]string `toml:"env"`
}

// Project says how to recognise a project that the recipe can build.
type Project struct {
	Files    []string   `toml:"files"` // all must exist
	Contains []Contains `toml:"contains"`
}

// Contains is a text that a file must hold.
type Contains struct {
	File string `toml:"file"`
	Text string `toml:"text"`
}

// Command is what builds the project, in its top directory.
type Command struct {
	Command []string `toml:"command"`
	// Out is the directory for what the build makes, relative to the project.
	Out string            `toml:"out"`
	Env map[string]string `toml:"env"`
	// Cache asks for a folder, {cache}, that is kept for the project's next
	// build; see Caches.
	Cache bool `toml:"cache"`
}

// Wanted says which files of Out the client gets.
type Wanted struct {
	// Files are patterns of path.Match, relative to Out. Each must match.
	Files []string `toml:"files"`
	// ELF is the pattern of the one file with the debug symbols, which
	// backtraces need. May be empty.
	ELF string `toml:"elf"`
}

// Flash says where the images go: the build tells it in a flasher_args.json,
// or the recipe does. Without either there is nothing to flash.
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

// declared reports whether the recipe itself says where images go.
func (f *Flash) declared() bool { return len(f.Images) > 0 }
