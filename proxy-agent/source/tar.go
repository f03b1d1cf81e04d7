package source

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/farforge/farforge/common/channel"
)

// maxWindow bounds the memory for decompressing a zstd archive, in bytes.
const maxWindow = 32 << 20

func (u *unpacking) walkTar(v visit) error {
	plain, done, err := u.decompressed()
	if err != nil {
		return err
	}
	defer done()
	// The limit includes headers and skipped entries, which are decompressed too.
	bounded := &capped{r: patient{u.ctx, plain}, left: 2*u.limit + 1<<20, limit: u.limit}
	for archive := tar.NewReader(bounded); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		e := entry{kind: fileKind(h.Mode&0o111 != 0)}
		switch h.Typeflag {
		case tar.TypeReg:
		case tar.TypeSymlink:
			e.kind, e.link = channel.KindSymlink, h.Linkname
		case tar.TypeDir, tar.TypeXGlobalHeader: // folders are made for the files in them
			continue
		default:
			return refuse("the source's archive is refused: %.80q is a %s; only files, folders and symlinks are unpacked", h.Name, tarKind(h.Typeflag))
		}
		if e.path, err = u.place(h.Name); err != nil {
			return err
		}
		if e.path == "" {
			continue
		}
		// The holes of a sparse file are read without the archive being read.
		if err := v(e, patient{u.ctx, archive}); err != nil {
			return err
		}
	}
}

// decompressed returns the archive as a plain tar, from its beginning.
func (u *unpacking) decompressed() (r io.Reader, done func(), err error) {
	file := bufio.NewReaderSize(io.NewSectionReader(u.archive, 0, u.size), 64<<10)
	switch u.format {
	case formatGzip:
		z, err := gzip.NewReader(file)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errDamaged, err)
		}
		return z, func() { z.Close() }, nil
	case formatZstd:
		z, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errDamaged, err)
		}
		return z, z.Close, nil
	}
	return file, func() {}, nil
}

func tarKind(flag byte) string {
	switch flag {
	case tar.TypeLink:
		return "hard link"
	case tar.TypeChar, tar.TypeBlock:
		return "device"
	case tar.TypeFifo:
		return "named pipe"
	case tar.TypeGNUSparse:
		return "sparse file"
	}
	return fmt.Sprintf("entry of the kind %q", flag)
}

// capped fails once more than left bytes were read.
type capped struct {
	r     io.Reader
	left  int64
	limit int64 // for the message
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, tooLarge("the source's archive unpacks to more than %d bytes", c.limit)
	}
	return n, err
}
