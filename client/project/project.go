package project

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
)

// Project is an open folder with its project file. Its methods may be called from
// several goroutines.
type Project struct {
	// Dir is the folder as the user named it.
	Dir string
	// Config is empty when there is no project file.
	Config Config
	// Kind is the kind of the project, detected by its files.
	Kind Kind
	// Warn gets warnings for the user about the choice of files. Nil discards them.
	Warn func(string)

	root *os.Root
}

func (p *Project) warn(text string) {
	if p.Warn != nil {
		p.Warn(text)
	}
}

// Open opens the project in dir and reads its project file, if there is one.
// Errors are for the user.
func Open(dir string) (*Project, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, openError(dir, err)
	}
	p := &Project{Dir: dir, root: root}
	if err := p.readConfig(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	p.Kind = kindOf(root.FS())
	return p, nil
}

func openError(dir string, err error) error {
	if info, statErr := os.Stat(dir); statErr == nil && !info.IsDir() {
		return cli.Failf(cli.Usage, "%s is a file, not the folder of a project", dir).
			Hint("name the folder that holds it: " + filepath.Dir(dir))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return cli.Failf(cli.Usage, "there is no folder %s", dir)
	}
	return cli.Failf(cli.Usage, "cannot open the project: %w", err)
}

func (p *Project) readConfig() error {
	text, err := p.root.ReadFile(ConfigName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		p.Config, err = ParseConfig(text)
	}
	if err != nil {
		return cli.Failf(cli.Usage, "%s: %w", filepath.Join(p.Dir, ConfigName), err)
	}
	return nil
}

// Name returns the project's name for messages: that of the project file, or the
// folder's.
func (p *Project) Name() string {
	if p.Config.Name != "" {
		return p.Config.Name
	}
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		dir = p.Dir
	}
	return filepath.Base(dir)
}

// OpenFile opens a file of the manifest for reading.
func (p *Project) OpenFile(f channel.File) (io.ReadCloser, error) {
	return p.open(f.Path)
}

// open opens a regular file. If a pipe has taken the file's place, it does not wait
// for a writer.
func (p *Project) open(path string) (*os.File, error) {
	file, err := p.root.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("it is no longer a regular file")
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Close releases the folder.
func (p *Project) Close() error { return p.root.Close() }

// parallel bounds how many files are read at a time.
func parallel() int { return min(runtime.GOMAXPROCS(0), 8) }
