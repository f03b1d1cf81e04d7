package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/provenance"
)

// CopyTo copies the artifacts and the statement into a folder, and makes the folder if
// it does not exist. Each replaces a file of the same name whole; other files stay.
func (s *Set) CopyTo(dir string) error {
	fail := func(err error) error {
		return cli.Failf(cli.Usage, "copy the artifacts to %s: %w", dir, err).
			Hint("they are in " + s.Dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fail(err)
	}
	files := s.Files
	if s.Statement != nil {
		files = append(slices.Clone(files), api.Artifact{Path: provenance.FileName}, api.Artifact{Path: provenance.SignatureName})
	}
	for _, file := range files {
		if err = s.copyOne(root, file); err != nil {
			break
		}
	}
	if err = errors.Join(err, root.Close()); err != nil {
		return fail(err)
	}
	return nil
}

// copyOne copies a file, and fails if its bytes do not have its digest.
func (s *Set) copyOne(root *os.Root, file api.Artifact) error {
	at := filepath.FromSlash(file.Path)
	if err := root.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	from, err := os.Open(s.Path(file.Path))
	if err != nil {
		return err
	}
	defer from.Close()
	const suffix = ".farforge-partial"
	to, err := root.Create(at + suffix)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(to, h), from)
	if sum := hex.EncodeToString(h.Sum(nil)); err == nil && file.SHA256 != "" && sum != file.SHA256 {
		err = fmt.Errorf("%s has the SHA-256 %s, and had %s when it arrived", file.Path, sum, file.SHA256)
	}
	if err = errors.Join(err, to.Close()); err == nil {
		err = root.Rename(at+suffix, at)
	}
	if err != nil {
		return errors.Join(err, root.Remove(at+suffix))
	}
	return nil
}
