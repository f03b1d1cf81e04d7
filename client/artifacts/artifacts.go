// Package artifacts keeps the artifacts of a build. New artifacts arrive in a folder
// of their own. They replace the last build's artifacts when all of them have arrived
// and the agent's signature over them is valid:
//
//	DIR/.farforge/
//	├── incoming-…/        exists while artifacts arrive
//	│   ├── lock           locked by the client that receives
//	│   ├── files/         the new artifacts
//	│   └── last/          the last build's, for the moment of the exchange
//	├── lock               locked by a client that moves folders
//	└── out/               the last build that succeeded, whole
//	    ├── flasher_args.json
//	    ├── hello.bin
//	    ├── provenance.json         the agent's statement about the build
//	    └── provenance.json.sig     its signature
//
// A client can be killed at any moment: the next one removes its folder, and puts the
// last build back if the exchange was under way.
//
// Artifacts are accepted if the agent of the job has signed that it made these files
// from the source that the client sent, or if the user allows unsigned ones. [Verify]
// checks the signature again at any later time, and [LoadFirmware] checks the bytes
// that are about to be flashed.
package artifacts

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

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
	// Dir is their folder.
	Dir string
	// Files are in the order in which the agent sent them; their paths are below Dir.
	Files []api.Artifact
	// FlashMap is the path below Dir of the flash map, and Map its contents.
	// Both are empty when the build made nothing to flash.
	FlashMap string
	Map      *flashmap.Map
	// Statement is the agent's signed statement about the build; nil when the user
	// allowed unsigned artifacts and the agent sent no statement.
	Statement *provenance.Build
}

// Path returns the path of an artifact or the flash map on this machine.
func (s *Set) Path(name string) string { return filepath.Join(s.Dir, filepath.FromSlash(name)) }

// Image returns the artifact with the program itself: the image with the name
// "app", or the one with the highest offset. It returns false when there is nothing
// to flash.
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

// check compares the files that arrived with the agent's result and with its signed
// statement, and reads the flash map. The sink has compared each file's contents with
// its digest in the manifest.
func check(root *os.Root, got *channel.Manifest, result *channel.Result, want *Expected) (*Set, error) {
	built := slices.DeleteFunc(listed(got, result), func(a api.Artifact) bool { return isStatement(a.Path) })
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
	// The statement and its signature are not artifacts.
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
			return nil, cli.Failf(cli.Usage, "write the artifacts' digests: %w", err)
		}
	}
	if result.FlashMap == "" {
		return set, nil
	}
	return set, set.readMap(root)
}

// listed returns the artifacts that the result lists, or those that arrived if
// the list was too long for the result.
func listed(got *channel.Manifest, result *channel.Result) []api.Artifact {
	if result.Omitted == 0 {
		return slices.Clone(result.Artifacts)
	}
	var all []api.Artifact
	for _, f := range got.Files {
		all = append(all, api.Artifact{Path: f.Path, Size: f.Size, SHA256: f.SHA256})
	}
	slices.SortFunc(all, func(a, b api.Artifact) int { return strings.Compare(a.Path, b.Path) })
	return all
}

func (s *Set) readMap(root *os.Root) error {
	at := slices.IndexFunc(s.Files, func(a api.Artifact) bool { return a.Path == s.FlashMap })
	if at < 0 {
		return refuse("the flash map %s is not among them", s.FlashMap)
	}
	if s.Files[at].Size > flashmap.MaxFileSize {
		return refuse("the flash map %s is longer than %d bytes", s.FlashMap, flashmap.MaxFileSize)
	}
	text, err := readArtifact(root, s.Files[at])
	if err != nil {
		return refuse("%w", err)
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

// isStatement reports whether a file is the agent's statement or its signature. These
// are not artifacts.
func isStatement(name string) bool {
	return name == provenance.FileName || name == provenance.SignatureName
}

// lists reports whether one of the artifacts has this path.
func lists(files []api.Artifact, name string) bool {
	return slices.ContainsFunc(files, func(a api.Artifact) bool { return a.Path == name })
}
