package artifacts

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/provenance"
)

// CopyTo copies the artifacts, with the statement, into a folder, which is made if need be. Each
// replaces a file of the same name whole; other files there stay.
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
	for _, name := range s.names() {
		if err = s.copyOne(root, name); err != nil {
			break
		}
	}
	if err = errors.Join(err, root.Close()); err != nil {
		return fail(err)
	}
	return nil
}

// names are the artifacts and the statement about them.
func (s *Set) names() []string {
	var names []string
	for _, f := range s.Files {
		names = append(names, f.Path)
	}
	if s.Statement != nil {
		names = append(names, provenance.FileName, provenance.SignatureName)
	}
	return names
}

func (s *Set) copyOne(root *os.Root, name string) error {
	at := filepath.FromSlash(name)
	if err := root.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	from, err := os.Open(s.Path(name))
	if err != nil {
		return err
	}
	defer from.Close()
	const suffix = ".farforge-partial"
	to, err := root.Create(at + suffix)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Close()); err == nil {
		err = root.Rename(at+suffix, at)
	}
	if err != nil {
		return errors.Join(err, root.Remove(at+suffix))
	}
	return nil
}
