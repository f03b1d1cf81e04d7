package channel

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
)

// contentsReader reads the contents of files, one after another. It checks
// each against the manifest while it reads.
type contentsReader struct {
	files    []File
	open     func(File) (io.ReadCloser, error)
	progress Progress
	total    int64

	done    int64
	current io.ReadCloser
	left    int64
	hash    hash.Hash
}

func (c *contentsReader) Read(p []byte) (int, error) {
	for c.current == nil || c.left == 0 {
		if c.current != nil {
			if err := c.finish(); err != nil {
				return 0, err
			}
		}
		if len(c.files) == 0 {
			return 0, io.EOF
		}
		f, err := c.open(c.files[0])
		if err != nil {
			return 0, fmt.Errorf("open %s: %w", c.files[0].Path, err)
		}
		c.current, c.left, c.hash = f, c.files[0].Size, sha256.New()
	}
	n, err := c.current.Read(p[:min(int64(len(p)), c.left)])
	c.hash.Write(p[:n])
	c.left -= int64(n)
	c.done += int64(n)
	if c.progress != nil && n > 0 {
		c.progress(c.done, c.total)
	}
	if err == io.EOF {
		err = nil
		if c.left > 0 {
			err = c.changed()
		}
	}
	return n, err
}

func (c *contentsReader) finish() error {
	var one [1]byte
	if n, _ := c.current.Read(one[:]); n > 0 || digest(c.hash.Sum(nil)) != c.files[0].SHA256 {
		return c.changed()
	}
	c.close()
	c.files = c.files[1:]
	return nil
}

func (c *contentsReader) changed() error {
	return &ChangedError{Path: c.files[0].Path}
}

func (c *contentsReader) close() {
	if c.current != nil {
		_ = c.current.Close() // it was only read
		c.current = nil
	}
}

// hashReader reads one content. Its last Read returns an error instead of
// io.EOF if the content does not have its hash.
type hashReader struct {
	r    io.Reader
	left int64
	hash hash.Hash
	file File
	done bool
}

func (h *hashReader) Read(p []byte) (int, error) {
	if h.left == 0 {
		if digest(h.hash.Sum(nil)) != h.file.SHA256 {
			return 0, &Problem{Code: ProblemContent, Message: fmt.Sprintf("%s does not have the SHA-256 that the manifest gives", h.file.Path)}
		}
		h.done = true
		return 0, io.EOF
	}
	n, err := h.r.Read(p)
	h.hash.Write(p[:n])
	h.left -= int64(n)
	if err == io.EOF {
		err = nil
		if h.left > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// countingReader reports its progress.
type countingReader struct {
	r           io.Reader
	done, total int64
	progress    Progress
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n > 0 {
		c.done += int64(n)
		c.progress(c.done, c.total)
	}
	return n, err
}

// contextReader stops with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// ChangedError is the error for a file that changed after it was listed.
type ChangedError struct{ Path string }

func (e *ChangedError) Error() string { return e.Path + " changed while it was being sent" }
