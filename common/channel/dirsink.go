package channel

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// partial is where a file is written before it gets its name, so that a
// transfer that breaks leaves no half file under a real name.
const partial = ".farforge-partial"

// DirSink stores a tree in a directory. What is there already with the right
// content is not asked for again; files that the manifest does not list are
// left alone. Every access goes through an [os.Root], which does not follow a
// symlink out of the directory, whatever stands in it.
type DirSink struct {
	root    *os.Root
	have    map[string]string // hash → a path that has it
	missing map[string][]File // hash → paths that lack it
	links   []File
}

// NewDirSink returns a sink for one tree into root, which stays the caller's
// to close.
func NewDirSink(root *os.Root) *DirSink {
	return &DirSink{root: root, have: map[string]string{}, missing: map[string][]File{}}
}

// Need implements [Sink].
func (d *DirSink) Need(m *Manifest) ([]string, error) {
	var order []string
	for _, f := range m.Files {
		if f.Kind == KindSymlink {
			d.links = append(d.links, f)
			continue
		}
		same, err := d.holds(f)
		if err != nil {
			return nil, err
		}
		if same {
			d.have[f.SHA256] = f.Path
			continue
		}
		if _, known := d.missing[f.SHA256]; !known {
			order = append(order, f.SHA256)
		}
		d.missing[f.SHA256] = append(d.missing[f.SHA256], f)
	}
	need := order[:0]
	for _, hash := range order {
		if _, ok := d.have[hash]; !ok {
			need = append(need, hash)
		}
	}
	return need, nil
}

// holds tells whether the file is there with its content, and sets its mode
// right if it is.
func (d *DirSink) holds(f File) (bool, error) {
	info, err := d.root.Lstat(f.Path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != f.Size {
		return false, nil // whatever is there instead is replaced, or is an error then
	}
	file, err := d.root.Open(f.Path)
	if err != nil {
		return false, nil
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return false, fmt.Errorf("read %s: %w", f.Path, err)
	}
	if digest(h.Sum(nil)) != f.SHA256 {
		return false, nil
	}
	if err := d.root.Chmod(f.Path, mode(f.Kind)); err != nil {
		return false, fmt.Errorf("set the mode of %s: %w", f.Path, err)
	}
	return true, nil
}

// Put implements [Sink].
func (d *DirSink) Put(hash string, _ int64, r io.Reader) error {
	files := d.missing[hash]
	if len(files) == 0 {
		return fmt.Errorf("content %s was not asked for", hash)
	}
	if err := d.write(files[0], r); err != nil {
		return err
	}
	d.have[hash] = files[0].Path
	d.missing[hash] = files[1:]
	return nil
}

// Done implements [Sink]: it makes the copies of contents that stand in several
// places, and the symlinks.
func (d *DirSink) Done() error {
	for hash, files := range d.missing {
		for _, f := range files {
			if err := d.copy(d.have[hash], f); err != nil {
				return err
			}
		}
	}
	for _, f := range d.links {
		if err := d.link(f); err != nil {
			return err
		}
	}
	return nil
}

func (d *DirSink) copy(from string, f File) error {
	source, err := d.root.Open(from)
	if err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	defer source.Close()
	return d.write(f, source)
}

func (d *DirSink) link(f File) error {
	if old, err := d.root.Readlink(f.Path); err == nil && old == f.Link {
		return nil
	}
	if err := d.mkdir(f.Path); err != nil {
		return err
	}
	if err := d.root.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace %s: %w", f.Path, err)
	}
	if err := d.root.Symlink(f.Link, f.Path); err != nil {
		return fmt.Errorf("make the symlink %s: %w", f.Path, err)
	}
	return nil
}

func (d *DirSink) write(f File, r io.Reader) error {
	if err := d.mkdir(f.Path); err != nil {
		return err
	}
	temp := path.Join(path.Dir(f.Path), partial)
	if err := d.root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	file, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode(f.Kind))
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	_, err = io.Copy(file, r)
	if err = errors.Join(err, file.Close()); err == nil {
		err = d.root.Rename(temp, f.Path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, errors.Join(err, d.root.Remove(temp)))
	}
	return nil
}

func (d *DirSink) mkdir(file string) error {
	if dir := path.Dir(file); dir != "." {
		if err := d.root.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the folder of %s: %w", file, err)
		}
	}
	return nil
}

func mode(k Kind) fs.FileMode {
	if k == KindExecutable {
		return 0o755
	}
	return 0o644
}
