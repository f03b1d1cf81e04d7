package project

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
)

// List returns the files to send, sorted by folder and name, without their hashes.
func (p *Project) List(ctx context.Context) ([]channel.File, error) {
	files, err := p.walk(ctx)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, cli.Failf(cli.Usage, "there is nothing to send in %s", p.Dir).
			Hint("the folder is empty, or its ignore rules leave out all of it")
	}
	return files, nil
}

// Scan returns the manifest of the files to send. It reads every file once, several at a
// time, and ends early with the context's error. Errors are for the user and name the
// file.
func (p *Project) Scan(ctx context.Context) (*channel.Manifest, error) {
	files, err := p.List(ctx)
	if err != nil {
		return nil, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel())
	for i := range files {
		if files[i].Kind == channel.KindSymlink {
			continue
		}
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error { return p.hash(groupCtx, &files[i]) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m := &channel.Manifest{Files: files}
	if err := m.Validate(); err != nil {
		return nil, manifestError(p.Dir, err)
	}
	return m, nil
}

func manifestError(dir string, err error) error {
	e := cli.Failf(cli.Usage, "%s cannot be sent as a project: %w", dir, err)
	var problem *channel.Problem
	if errors.As(err, &problem) && problem.Code == channel.ProblemSizeLimit {
		return e.Hint("leave out what the build does not need with rules in " + IgnoreName)
	}
	return e.Hint("rename it, or leave it out with a rule in " + IgnoreName)
}

// hash reads a file once and sets its size and hash.
func (p *Project) hash(ctx context.Context, f *channel.File) error {
	file, err := p.open(f.Path)
	if err != nil {
		return refuse(f.Path, "it cannot be read: %w", reason(err))
	}
	h := sha256.New()
	n, err := io.Copy(h, &untilDone{ctx, file})
	if err = errors.Join(err, file.Close()); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return refuse(f.Path, "it cannot be read: %w", reason(err))
	}
	f.Size, f.SHA256 = n, hex.EncodeToString(h.Sum(nil))
	return nil
}

// untilDone is a reader that ends with its context.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, fmt.Errorf("stopped: %w", err)
	}
	return u.r.Read(p)
}
