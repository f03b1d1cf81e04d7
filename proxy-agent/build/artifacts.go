package build

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/common/provenance"
)

// Limits of what a job sends back.
const (
	MaxArtifacts     = 256
	MaxArtifactBytes = 512 << 20 // of all artifacts together
)

// Artifacts are the files of a finished build, by the client's names for them.
// Close it after use.
type Artifacts struct {
	// List is sorted by path.
	List []api.Artifact
	// FlashMap is the path of the flasher_args.json in List, or empty.
	FlashMap string

	root  *os.Root // the output directory
	flash []byte   // contents of FlashMap
}

// Collect finds the artifacts that the recipe promises, in the workspace of a
// build that has ended. A missing artifact is a *channel.Problem, and so is a
// flash map that is wrong or names a missing file.
func (c *Choice) Collect(ws *Workspace) (*Artifacts, error) {
	out := c.Recipe.Build.Out
	root, err := ws.Root.OpenRoot(out)
	if err != nil {
		return nil, missing("the build made no directory %s", out)
	}
	a := &Artifacts{root: root}
	if err := a.collect(c); err != nil {
		root.Close()
		return nil, err
	}
	return a, nil
}

func (a *Artifacts) collect(c *Choice) error {
	files := map[string]bool{}
	patterns := c.Recipe.Artifacts.Files
	if elf := c.Recipe.Artifacts.ELF; elf != "" {
		if _, err := a.one(elf); err != nil {
			return err
		}
		patterns = append(slices.Clone(patterns), elf)
	}
	for _, pattern := range patterns {
		found, err := a.match(pattern)
		if err != nil {
			return err
		}
		for _, f := range found {
			files[f] = true
		}
	}
	m, err := a.flashMap(c)
	if err != nil {
		return err
	}
	if m != nil {
		for _, im := range m.Images {
			files[im.Path] = true
		}
		if a.flash, err = m.MarshalFlasherArgs(); err != nil {
			return missing("the flash map is wrong: %v", err)
		}
		a.FlashMap = flashmap.FileName
		files[a.FlashMap] = true
	}
	return a.digest(files)
}

// digest fills List.
func (a *Artifacts) digest(files map[string]bool) error {
	if len(files) > MaxArtifacts {
		return &channel.Problem{Code: channel.ProblemSizeLimit,
			Message: fmt.Sprintf("the build made %d artifacts; at most %d are sent", len(files), MaxArtifacts)}
	}
	var total int64
	for path := range files {
		if err := checkName(path); err != nil {
			return err
		}
		f, err := a.Open(path)
		if err != nil {
			return err
		}
		h := sha256.New()
		size, err := io.Copy(h, io.LimitReader(f, MaxArtifactBytes-total+1))
		f.Close()
		if err != nil {
			return fmt.Errorf("read the artifact %s: %w", path, err)
		}
		if total += size; total > MaxArtifactBytes {
			return &channel.Problem{Code: channel.ProblemSizeLimit,
				Message: fmt.Sprintf("the artifacts are larger than %d MiB together", MaxArtifactBytes>>20)}
		}
		a.List = append(a.List, api.Artifact{Path: path, Size: size, SHA256: hex.EncodeToString(h.Sum(nil))})
	}
	slices.SortFunc(a.List, func(x, y api.Artifact) int { return strings.Compare(x.Path, y.Path) })
	return nil
}

// checkName refuses an artifact with the name of the agent's own statement, also
// on systems that do not distinguish upper and lower case.
func checkName(path string) error {
	first, _, _ := strings.Cut(path, "/")
	for _, reserved := range []string{provenance.FileName, provenance.SignatureName} {
		if strings.EqualFold(first, reserved) {
			return &channel.Problem{
				Code:    channel.ProblemNoArtifacts,
				Message: fmt.Sprintf("the build made an artifact %s, but %s is the name of the agent's own statement about the build", path, reserved),
				Hints:   []string{"rename that file in the build, or leave it out of the recipe"},
			}
		}
	}
	return nil
}

// Open opens one artifact.
func (a *Artifacts) Open(path string) (io.ReadCloser, error) {
	if path == a.FlashMap && a.FlashMap != "" {
		return io.NopCloser(bytes.NewReader(a.flash)), nil
	}
	// Looking first keeps a FIFO from blocking the agent. Nothing changes in
	// between: no process of the build is left.
	info, err := a.root.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing("the build made no file %s", path)
	}
	if err != nil {
		return nil, missing("the artifact %s cannot be read: %v", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, missing("the artifact %s is not a regular file", path)
	}
	f, err := a.root.Open(path)
	if err != nil {
		return nil, missing("the artifact %s cannot be read: %v", path, err)
	}
	return f, nil
}

// Manifest lists the artifacts for the firmware channel.
func (a *Artifacts) Manifest() *channel.Manifest {
	m := &channel.Manifest{}
	for _, f := range a.List {
		m.Files = append(m.Files, channel.File{Path: f.Path, Kind: channel.KindFile, Size: f.Size, SHA256: f.SHA256})
	}
	return m
}

// OpenFile opens an artifact that Manifest lists.
func (a *Artifacts) OpenFile(f channel.File) (io.ReadCloser, error) { return a.Open(f.Path) }

// Close releases the directory.
func (a *Artifacts) Close() error { return a.root.Close() }

// match returns the regular files that the pattern matches, at least one. It
// ignores symlinks, which could lead to files of others.
func (a *Artifacts) match(pattern string) ([]string, error) {
	paths, err := fs.Glob(a.root.FS(), pattern)
	if err != nil {
		return nil, fmt.Errorf("find artifacts: %w", err)
	}
	var files []string
	for _, p := range paths {
		if info, err := a.root.Lstat(p); err == nil && info.Mode().IsRegular() {
			files = append(files, p)
		}
	}
	if len(files) == 0 {
		return nil, missing("the build made no file that matches %s", pattern)
	}
	return files, nil
}

// one returns the only file that the pattern matches.
func (a *Artifacts) one(pattern string) (string, error) {
	files, err := a.match(pattern)
	if err != nil {
		return "", err
	}
	if len(files) > 1 {
		return "", missing("the build made %d files that match %s where its recipe expects one: %s",
			len(files), pattern, strings.Join(files, ", "))
	}
	return files[0], nil
}

func missing(format string, args ...any) error {
	return &channel.Problem{Code: channel.ProblemNoArtifacts, Message: fmt.Sprintf(format, args...)}
}
