// Package artifacts keeps what a build made. New artifacts come into a folder of
// their own and take the place of the old ones only when all of them have
// arrived and are what the agent says they are:
//
//	DIR/.farforge/
//	├── incoming-…/        while they arrive; gone after any failure
//	└── out/               the last build that succeeded, whole
//	    ├── flasher_args.json
//	    ├── hello.bin
//	    ├── provenance.json         the agent's statement about the build
//	    └── provenance.json.sig     and its signature
//
// Nothing takes the old ones' place unless the agent that was connected to has
// signed that it made just these files from just that source, or was allowed to
// sign nothing. [Verify] checks what was signed again at any later time.
package artifacts

import (
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/common/provenance"
)

// OutName is the folder of the artifacts, below the client's own folder in a
// project.
const OutName = "out"

// Set is a build's artifacts on this machine.
type Set struct {
	// Dir is where they are.
	Dir string
	// Files are sorted as the agent sent them; their paths are below Dir.
	Files []api.Artifact
	// FlashMap is the path below Dir of the flash map, and Map what it says.
	// Both are empty when the build made nothing to flash.
	FlashMap string
	Map      *flashmap.Map
	// Statement is what the agent has signed about the build; nil when it was
	// allowed to sign nothing.
	Statement *provenance.Build
}

// Path returns where an artifact or the flash map is on this machine.
func (s *Set) Path(name string) string { return filepath.Join(s.Dir, filepath.FromSlash(name)) }

// Image returns the artifact that is the program itself: the image called
// "app", or the last one in flash. It returns false when there is nothing to
// flash.
func (s *Set) Image() (api.Artifact, bool) {
	if s.Map == nil {
		return api.Artifact{}, false
	}
	image := s.Map.Images[len(s.Map.Images)-1]
	for _, im := range s.Map.Images {
		if im.Name == "app" {
			image = im
		}
	}
	at := path.Join(path.Dir(s.FlashMap), image.Path)
	for _, f := range s.Files {
		if f.Path == at {
			return f, true
		}
	}
	return api.Artifact{}, false
}

// check compares what arrived with what the agent says that it built and has
// signed, and reads the flash map. Contents have been compared with the manifest's hashes on
// their way in.
func check(root *os.Root, got *channel.Manifest, result *channel.Result, want *Expected) (*Set, error) {
	built := slices.DeleteFunc(slices.Clone(result.Artifacts), func(a api.Artifact) bool { return isStatement(a.Path) })
	arrived := make(map[string]channel.File, len(got.Files))
	for _, f := range got.Files {
		if f.Kind == channel.KindSymlink {
			return nil, refuse("%s is a symlink", f.Path)
		}
		arrived[f.Path] = f
	}
	for _, a := range built {
		f, ok := arrived[a.Path]
		switch {
		case !ok:
			return nil, refuse("%s is in its result and did not arrive", a.Path)
		case f.SHA256 != a.SHA256 || f.Size != a.Size:
			return nil, refuse("%s arrived with the SHA-256 %s, its result says %s", a.Path, f.SHA256, a.SHA256)
		}
		delete(arrived, a.Path)
	}
	// The agent's statement about the artifacts is not one of them.
	delete(arrived, provenance.FileName)
	delete(arrived, provenance.SignatureName)
	for extra := range arrived {
		return nil, refuse("%s arrived and is not in its result", extra)
	}
	set := &Set{Files: built, FlashMap: result.FlashMap}
	var err error
	if set.Statement, err = want.verify(root, built); err != nil {
		return nil, err
	}
	if set.Statement == nil {
		if err := writeSums(root, built); err != nil {
			return nil, cli.Failf(cli.Usage, "note the artifacts' digests: %w", err)
		}
	}
	if result.FlashMap == "" {
		return set, nil
	}
	return set, set.readMap(root)
}

func (s *Set) readMap(root *os.Root) error {
	if !lists(s.Files, s.FlashMap) {
		return refuse("the flash map %s is not among them", s.FlashMap)
	}
	if info, err := root.Stat(filepath.FromSlash(s.FlashMap)); err == nil && info.Size() > flashmap.MaxFileSize {
		return refuse("the flash map %s is longer than %d bytes", s.FlashMap, flashmap.MaxFileSize)
	}
	text, err := root.ReadFile(filepath.FromSlash(s.FlashMap))
	if err != nil {
		return cli.Failf(cli.Usage, "read the flash map: %w", err)
	}
	if s.Map, err = flashmap.Parse(text); err != nil {
		return refuse("%w", err)
	}
	for _, im := range s.Map.Images {
		if at := path.Join(path.Dir(s.FlashMap), im.Path); !lists(s.Files, at) {
			return refuse("the flash map names %s, which is not among them", at)
		}
	}
	return nil
}

// isStatement tells whether a file is the agent's statement, or its signature,
// which are not artifacts.
func isStatement(name string) bool {
	return name == provenance.FileName || name == provenance.SignatureName
}

// lists tells whether one of the artifacts has this path.
func lists(files []api.Artifact, name string) bool {
	return slices.ContainsFunc(files, func(a api.Artifact) bool { return a.Path == name })
}
