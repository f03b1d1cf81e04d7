package build

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Cache is a folder that a build may write and that can outlive it. It belongs to
// one job until it is closed.
type Cache struct {
	// Dir is the absolute path of the folder that the build may write.
	Dir string

	caches *Caches
	ws     *Workspace
	id     string // empty: it has no owner and is removed with the job
	note   note
	warm   bool
}

// NewCache makes an empty cache that is never kept.
func (w *Workspaces) NewCache() (*Cache, error) {
	c, err := w.cache()
	if err != nil {
		return nil, err
	}
	return c, c.make()
}

// cache makes the workspace of a cache.
func (w *Workspaces) cache() (*Cache, error) {
	ws, err := w.New()
	if err != nil {
		return nil, fmt.Errorf("make a cache: %w", err)
	}
	c := &Cache{ws: ws}
	c.Dir = filepath.Join(c.dir(), cacheFiles)
	return c, nil
}

// make makes the folders of a new cache, or closes it.
func (c *Cache) make() error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("make a cache: %w", errors.Join(err, c.Close()))
	}
	return nil
}

// Warm reports whether an earlier build has left something in it.
func (c *Cache) Warm() bool { return c.warm }

// dir is the folder that moves between jobs: Dir and the agent's note.
func (c *Cache) dir() string { return filepath.Join(c.ws.Dir, "cache") }

// Keep stores the cache for the next build. The caller decides whether to: a build
// that was stopped may have left it half-written. The error says why the
// cache is not kept; it is not a fault.
func (c *Cache) Keep() error {
	if c.id == "" {
		return errors.New("it has no owner, or no caches are kept")
	}
	n, err := weigh(c.ws.Root, filepath.Join("cache", cacheFiles), c.caches.limits.Bytes)
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("the build left nothing in it")
	}
	c.note.Bytes = n
	if err := c.note.write(c.dir()); err != nil {
		return err
	}
	return c.caches.put(c)
}

// Close removes the cache unless it was kept. No process may use it.
func (c *Cache) Close() error { return c.ws.Close() }

const (
	// block is the least size that a file counts with, in bytes: each takes an
	// inode and a directory entry.
	block = 4096
	// maxCacheDepth bounds how deep folders nest in a cache, so that a million
	// nested folders do not keep the agent busy.
	maxCacheDepth = 64
)

// weigh counts the bytes of a tree, each file as at least a block. It follows no
// symlink. A tree of more than limit bytes is an error.
func weigh(root *os.Root, path string, limit int64) (int64, error) {
	dir, err := root.OpenRoot(path)
	if err != nil {
		return 0, fmt.Errorf("weigh the cache: %w", err)
	}
	defer dir.Close()
	w := weighing{limit: limit}
	err = w.add(dir, 0)
	return w.bytes, err
}

type weighing struct{ bytes, limit int64 }

func (w *weighing) add(dir *os.Root, depth int) error {
	if depth > maxCacheDepth {
		return fmt.Errorf("its folders are nested deeper than %d", maxCacheDepth)
	}
	f, err := dir.Open(".")
	if err != nil {
		return fmt.Errorf("weigh the cache: %w", err)
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(256)
		for _, name := range names {
			if err := w.one(dir, name, depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("weigh the cache: %w", err)
		}
	}
}

func (w *weighing) one(dir *os.Root, name string, depth int) error {
	info, err := dir.Lstat(name)
	if err != nil {
		return fmt.Errorf("weigh the cache: %w", err)
	}
	if w.bytes += block; info.Size() > block {
		w.bytes += min(info.Size(), w.limit+1) - block
	}
	if w.bytes > w.limit {
		return fmt.Errorf("it is larger than the %d MiB that all caches together may have", w.limit>>20)
	}
	if !info.IsDir() {
		return nil
	}
	below, err := dir.OpenRoot(name)
	if err != nil {
		return fmt.Errorf("weigh the cache: %w", err)
	}
	defer below.Close()
	return w.add(below, depth+1)
}
