//go:build unix

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// DiskFull is the error for a command that used more disk than its limit.
type DiskFull struct{ Reason string }

func (e *DiskFull) Error() string { return e.Reason }

func diskFull(format string, args ...any) error { return &DiskFull{fmt.Sprintf(format, args...)} }

// The shortest and the longest pause between two measurements of the disk. A slow
// measurement makes the next pause longer.
const (
	diskLook     = 200 * time.Millisecond
	diskLookSlow = 1500 * time.Millisecond
)

// watchDisk returns a context that ends with a *DiskFull when the job's
// directories hold more than the limits. held returns the bytes of files without
// a name that the job holds open; it may be nil. stop ends the watching.
func watchDisk(parent context.Context, spec Spec, held func(dev uint64) int64) (ctx context.Context, stop func()) {
	l := spec.Limits
	if l.DiskBytes <= 0 && l.DiskFiles <= 0 {
		return parent, func() {}
	}
	ctx, cancel := context.WithCancelCause(parent)
	done := make(chan struct{})
	watching, stopWatching := context.WithCancel(ctx)
	go func() {
		defer close(done)
		for pause := diskLook; ; {
			select {
			case <-time.After(pause):
			case <-watching.Done():
				return
			}
			began := time.Now()
			var full *DiskFull
			if errors.As(measure(watching, spec, held), &full) {
				cancel(full)
				return
			}
			pause = min(max(diskLook, 4*time.Since(began)), diskLookSlow)
		}
	}()
	return ctx, func() {
		stopWatching()
		<-done
		cancel(nil)
	}
}

// measure returns a *DiskFull if the job uses too much.
func measure(ctx context.Context, spec Spec, held func(dev uint64) int64) error {
	used := usage{limit: spec.Limits}
	if held != nil {
		var stat syscall.Stat_t
		if syscall.Stat(spec.Dir, &stat) == nil {
			used.bytes = held(uint64(stat.Dev))
		}
	}
	for _, dir := range []string{spec.Dir, spec.Cache} {
		if err := used.tree(ctx, dir); err != nil {
			return err
		}
	}
	return used.judge()
}

// usage counts blocks and files of trees, up to a limit.
type usage struct {
	limit Limits
	bytes int64
	files int
}

// tree counts what is below a directory. It follows no symlink. Files that come
// and go meanwhile do not matter.
func (u *usage) tree(ctx context.Context, path string) error {
	if path == "" {
		return nil
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return locked(path, err)
	}
	defer root.Close()
	return u.folder(ctx, root, 0)
}

// maxMeasured bounds how deep folders are measured.
const maxMeasured = 200

// locked makes an error of a folder that the agent may not read. A build could
// hide files there.
func locked(name string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return diskFull("the build locked the folder %s, so the agent cannot see how much disk it uses", filepath.Base(name))
	}
	return nil // it is gone
}

func (u *usage) folder(ctx context.Context, root *os.Root, depth int) error {
	if depth > maxMeasured {
		return diskFull("the build nested folders deeper than %d", maxMeasured)
	}
	f, err := root.Open(".")
	if err != nil {
		return locked(root.Name(), err)
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(256)
		for _, e := range entries {
			if err := u.one(ctx, root, e, depth); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

func (u *usage) one(ctx context.Context, root *os.Root, e fs.DirEntry, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u.files++
	info, err := root.Lstat(e.Name())
	if err != nil {
		return locked(root.Name(), err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		u.bytes += stat.Blocks * 512
	}
	if err := u.judge(); err != nil {
		return err
	}
	if !e.IsDir() {
		return nil
	}
	below, err := root.OpenRoot(e.Name())
	if err != nil {
		return locked(e.Name(), err)
	}
	defer below.Close()
	return u.folder(ctx, below, depth+1)
}

func (u *usage) judge() error {
	switch {
	case u.limit.DiskBytes > 0 && u.bytes > u.limit.DiskBytes:
		return diskFull("the build used more than its %d MiB of disk", u.limit.DiskBytes>>20)
	case u.limit.DiskFiles > 0 && u.files > u.limit.DiskFiles:
		return diskFull("the build made more than its %d files", u.limit.DiskFiles)
	}
	return nil
}
