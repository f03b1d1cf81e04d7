package artifacts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/provenance"
)

// maxImage bounds the size of an image, in bytes. No chip has a larger flash.
const maxImage = 128 << 20

// Firmware is a flash map with its images, in memory. Each file was read once, and
// these bytes were checked, so that a file cannot be exchanged between its check
// and the moment it is flashed.
type Firmware struct {
	Map *flashmap.Map
	// Files holds the images under the paths of the map. An image that does not
	// exist is missing here, too.
	Files fs.FS
	// By lists the principals of the known agent that has signed all of it. It is
	// empty for unsigned files, such as a build on this machine.
	By []string
}

// Firmware reads the flash map of the artifacts and its images. It returns an error if
// a file is not the one that arrived.
func (s *Set) Firmware() (*Firmware, error) {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, cli.Failf(cli.Usage, "cannot flash the artifacts in %s: %w", s.Dir, pathReason(err))
	}
	defer root.Close()
	fw, err := loadListed(root, s.FlashMap, s.Files)
	if err != nil {
		return nil, distrust(s.Dir, err)
	}
	return fw, nil
}

// LoadFirmware reads the flash map at a path and its images, and checks them against the
// signed statement of a known agent. Without a statement, files in the client's own
// folder must have the digests that the client noted when they arrived; files
// elsewhere are taken as they are, like those that ESP-IDF built on this machine.
// Errors are for the user.
func LoadFirmware(at, state string, known *identity.KnownAgents) (*Firmware, error) {
	dir, rel, err := statementFor(at, state)
	if err != nil {
		return nil, cli.Failf(cli.Usage, "cannot flash %s: %w", at, pathReason(err))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, cli.Failf(cli.Usage, "cannot flash %s: %w", at, pathReason(err))
	}
	defer root.Close()
	v, err := verifyFolder(root, isOwn(dir, state), known)
	if errors.Is(err, errNoStatement) {
		return loadUnsigned(root, rel, isOwn(dir, state), at)
	}
	if err == nil {
		var fw *Firmware
		if fw, err = loadListed(root, rel, v.Statement.Artifacts); err == nil {
			fw.By = v.By
			return fw, nil
		}
	}
	return nil, distrust(filepath.Dir(at), err)
}

// loadListed reads the flash map and its images, which must all be listed and have
// the digests of the list.
func loadListed(root *os.Root, name string, list []api.Artifact) (*Firmware, error) {
	read := func(name string) ([]byte, error) {
		for _, a := range list {
			if a.Path == name {
				return readArtifact(root, a)
			}
		}
		return nil, fmt.Errorf("%w: %s would be flashed but is not signed", provenance.ErrUntrusted, name)
	}
	return load(name, read)
}

func loadUnsigned(root *os.Root, name string, own bool, at string) (*Firmware, error) {
	if own {
		list, err := readSums(root)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: both the agent's statement and %s are missing", provenance.ErrUntrusted, SumsName)
		}
		var fw *Firmware
		if err == nil {
			fw, err = loadListed(root, name, list)
		}
		if err != nil {
			return nil, distrust(filepath.Dir(at), err)
		}
		return fw, nil
	}
	fw, err := load(name, func(name string) ([]byte, error) { return readWhole(root, name) })
	if err != nil {
		return nil, cli.Failf(cli.Usage, "cannot flash %s: %w", at, err)
	}
	return fw, nil
}

// load reads the flash map of this name and the images that it names.
func load(name string, read func(name string) ([]byte, error)) (*Firmware, error) {
	text, err := read(name)
	if err != nil {
		return nil, err
	}
	if len(text) > flashmap.MaxFileSize {
		return nil, fmt.Errorf("%s is too long for a flash map", name)
	}
	m, err := flashmap.Parse(text)
	if err != nil {
		return nil, err
	}
	files := memory{}
	for _, im := range m.Images {
		data, err := read(path.Join(path.Dir(name), im.Path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // the flasher names the image and what to do
		case err != nil:
			return nil, err
		}
		files[im.Path] = data
	}
	return &Firmware{Map: m, Files: files}, nil
}

// readArtifact reads a file once, and returns its bytes if they have the digest.
func readArtifact(root *os.Root, a api.Artifact) ([]byte, error) {
	data, err := readWhole(root, a.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is missing", provenance.ErrUntrusted, a.Path)
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != a.SHA256 || int64(len(data)) != a.Size {
		return nil, fmt.Errorf("%w: %s has the SHA-256 %x, not %s", provenance.ErrUntrusted, a.Path, sum, a.SHA256)
	}
	return data, nil
}

// readWhole reads a file of at most maxImage bytes.
func readWhole(root *os.Root, name string) ([]byte, error) {
	at := filepath.FromSlash(name)
	if info, err := root.Stat(at); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	f, err := root.Open(at)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxImage+1))
	if err == nil && len(data) > maxImage {
		err = fmt.Errorf("%s is longer than %d MiB", name, maxImage>>20)
	}
	return data, err
}

// memory is a file system of files that were already read, by their paths.
type memory map[string][]byte

// Open implements [fs.FS].
func (m memory) Open(name string) (fs.File, error) {
	data, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memoryFile{memoryInfo{name, int64(len(data))}, bytes.NewReader(data)}, nil
}

type memoryFile struct {
	info memoryInfo
	*bytes.Reader
}

func (f *memoryFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *memoryFile) Close() error               { return nil }

type memoryInfo struct {
	name string
	size int64
}

func (i memoryInfo) Name() string     { return path.Base(i.name) }
func (i memoryInfo) Size() int64      { return i.size }
func (memoryInfo) Mode() fs.FileMode  { return 0o444 }
func (memoryInfo) ModTime() time.Time { return time.Time{} }
func (memoryInfo) IsDir() bool        { return false }
func (memoryInfo) Sys() any           { return nil }

// statementFor returns the folder in which a statement about the flash map would
// lie, and the map's path below it: the client's own folder, a folder above whose
// statement is about the map, or else the map's own folder. It searches the path
// that the user names and the path without symlinks, so that neither a working
// directory nor a symlink hides a statement.
func statementFor(at, state string) (dir, rel string, err error) {
	whole, err := filepath.Abs(at)
	if err != nil {
		return "", "", err
	}
	real, err := filepath.EvalSymlinks(whole)
	if err != nil {
		return "", "", err
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(whole))
	if err != nil {
		return "", "", err
	}
	for _, at := range []string{whole, filepath.Join(folder, filepath.Base(whole)), real} {
		up, below := filepath.Dir(at), filepath.Base(at)
		for range maxDepth {
			if isOwn(up, state) || concerns(up, below) {
				return up, below, nil
			}
			below = path.Join(filepath.Base(up), below)
			up = filepath.Dir(up)
		}
	}
	return filepath.Dir(whole), filepath.Base(whole), nil
}

// concerns reports whether the statement in the folder is about the file. A signature
// without a statement, or beside a damaged one, may have been about any file below.
// A statement about other programs does not concern the file.
func concerns(dir, rel string) bool {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	_, unsigned := root.Lstat(provenance.SignatureName)
	data, err := readSmall(root, provenance.FileName, maxStatement)
	if err != nil {
		return unsigned == nil
	}
	b, err := provenance.Parse(data)
	if err != nil {
		return unsigned == nil
	}
	return lists(b.Artifacts, rel)
}

// isOwn reports whether the folder at an absolute path is the client's own.
func isOwn(dir, state string) bool {
	return strings.EqualFold(filepath.Base(dir), OutName) && strings.EqualFold(filepath.Base(filepath.Dir(dir)), state)
}
