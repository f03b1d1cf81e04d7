package channel

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// partialName is the name of a file until it is whole. If a file of that name
// exists, a number is added.
const partialName = ".farforge-partial"

// DirSink stores a tree in a directory. It does not request contents that are
// already there, and leaves files alone that the manifest does not list. Every
// access goes through an [os.Root], which does not follow a symlink out of the
// directory.
type DirSink struct {
	root  *os.Root
	files []File
	have  map[string]int32   // hash → a file that has it
	lack  map[string][]int32 // hash → files that lack it
	links []int32

	// The folder of the last file stays open, and files are taken folder by
	// folder: opening one costs a system call for each part of its path.
	at  string
	dir *os.Root // nil: there is none
}

// NewDirSink returns a sink for one tree into root, which the caller closes.
func NewDirSink(root *os.Root) *DirSink {
	return &DirSink{root: root, have: map[string]int32{}, lack: map[string][]int32{}}
}

// Need implements [Sink].
func (d *DirSink) Need(ctx context.Context, m *Manifest) ([]string, error) {
	d.files = m.Files
	var order []string
	for _, i := range byFolder(m.Files) {
		f := m.Files[i]
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if f.Kind == KindSymlink {
			d.links = append(d.links, i)
			continue
		}
		same, err := d.holds(ctx, f)
		if err != nil {
			return nil, err
		}
		if same {
			d.have[f.SHA256] = i
			continue
		}
		if _, known := d.lack[f.SHA256]; !known {
			order = append(order, f.SHA256)
		}
		d.lack[f.SHA256] = append(d.lack[f.SHA256], i)
	}
	need := order[:0]
	for _, hash := range order {
		if _, ok := d.have[hash]; !ok {
			need = append(need, hash)
		}
	}
	return need, nil
}

// byFolder returns the files' indices, with those of one folder together.
func byFolder(files []File) []int32 {
	order := make([]int32, len(files))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		return strings.Compare(path.Dir(files[a].Path), path.Dir(files[b].Path))
	})
	return order
}

// holds reports whether the file is there with its content, and sets its mode
// if it is.
func (d *DirSink) holds(ctx context.Context, f File) (bool, error) {
	dir, name, err := d.folder(f.Path, false)
	if err != nil || dir == nil {
		return false, err
	}
	info, err := dir.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != f.Size {
		return false, nil // anything else there is replaced, or an error then
	}
	file, err := dir.Open(name)
	if err != nil {
		return false, nil
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, contextReader{ctx, file}); err != nil {
		return false, fmt.Errorf("read %s: %w", f.Path, err)
	}
	if digest(h.Sum(nil)) != f.SHA256 {
		return false, nil
	}
	if err := dir.Chmod(name, mode(f.Kind)); err != nil {
		return false, fmt.Errorf("set the mode of %s: %w", f.Path, err)
	}
	return true, nil
}

// Put implements [Sink].
func (d *DirSink) Put(ctx context.Context, hash string, _ int64, r io.Reader) error {
	files := d.lack[hash]
	if len(files) == 0 {
		return fmt.Errorf("content %s was not requested", hash)
	}
	if err := d.write(ctx, d.files[files[0]], r); err != nil {
		return err
	}
	d.have[hash] = files[0]
	d.lack[hash] = files[1:]
	return nil
}

// Done implements [Sink]: it copies contents that several files have, and makes
// the symlinks.
func (d *DirSink) Done(ctx context.Context) error {
	for hash, files := range d.lack {
		for _, i := range files {
			from, ok := d.have[hash]
			if !ok {
				return fmt.Errorf("content %s was not put", hash)
			}
			if err := d.copy(ctx, d.files[from].Path, d.files[i]); err != nil {
				return err
			}
		}
	}
	for _, i := range d.links {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.link(d.files[i]); err != nil {
			return err
		}
	}
	return nil
}

// Close implements [Sink].
func (d *DirSink) Close() error {
	dir := d.dir
	d.at, d.dir = "", nil
	if dir == nil || dir == d.root {
		return nil
	}
	return dir.Close()
}

func (d *DirSink) copy(ctx context.Context, from string, f File) error {
	source, err := d.root.Open(from)
	if err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	defer source.Close()
	return d.write(ctx, f, source)
}

func (d *DirSink) link(f File) error {
	dir, name, err := d.folder(f.Path, true)
	if err != nil {
		return err
	}
	err = dir.Symlink(f.Link, name)
	if errors.Is(err, fs.ErrExist) {
		if old, err := dir.Readlink(name); err == nil && old == f.Link {
			return nil
		}
		if err := dir.Remove(name); err != nil {
			return fmt.Errorf("replace %s: %w", f.Path, err)
		}
		err = dir.Symlink(f.Link, name)
	}
	if err != nil {
		return fmt.Errorf("make the symlink %s: %w", f.Path, err)
	}
	return nil
}

func (d *DirSink) write(ctx context.Context, f File, r io.Reader) error {
	dir, name, err := d.folder(f.Path, true)
	if err != nil {
		return err
	}
	file, partial, err := createPartial(dir, mode(f.Kind))
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	_, err = io.Copy(file, contextReader{ctx, r})
	if err = errors.Join(err, file.Close()); err == nil {
		err = dir.Rename(partial, name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, errors.Join(err, dir.Remove(partial)))
	}
	return nil
}

// createPartial makes a new file under a name that nothing has. A file of the
// project may have partialName: it keeps it.
func createPartial(dir *os.Root, mode fs.FileMode) (*os.File, string, error) {
	name := partialName
	for n := 1; ; n++ {
		file, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) || n > 1000 {
			return file, name, err
		}
		name = fmt.Sprintf("%s-%d", partialName, n)
	}
}

// folder opens the folder of a file. With create it makes the folder if there is
// none; otherwise dir is nil then.
func (d *DirSink) folder(file string, create bool) (dir *os.Root, name string, err error) {
	at := path.Dir(file)
	if d.at == at && (d.dir != nil || !create) {
		return d.dir, path.Base(file), nil
	}
	if err := d.Close(); err != nil {
		return nil, "", err
	}
	d.at, d.dir = at, d.root
	if at == "." {
		return d.dir, path.Base(file), nil
	}
	d.dir, err = d.root.OpenRoot(at)
	if err != nil && create {
		if err = d.root.MkdirAll(at, 0o755); err == nil {
			d.dir, err = d.root.OpenRoot(at)
		}
	}
	if err != nil {
		d.dir = nil
		if create {
			return nil, "", fmt.Errorf("make the folder of %s: %w", file, err)
		}
	}
	return d.dir, path.Base(file), nil
}

func mode(k Kind) fs.FileMode {
	if k == KindExecutable {
		return 0o755
	}
	return 0o644
}
