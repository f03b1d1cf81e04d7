package source

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/farforge/farforge/common/channel"
)

// maxDirectory bounds how much of a zip is read to list its contents, in bytes. The
// names of as many files as a project may have fit easily.
const maxDirectory = 32 << 20

const zipEncrypted = 1 // in a file's flags

func (u *unpacking) walkZip(v visit) error {
	in := &rationed{ctx: u.ctx.Err, r: u.archive, left: maxDirectory}
	archive, err := zip.NewReader(in, u.size)
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	in.open = true
	for _, f := range archive.File {
		if err := u.visitZip(f, v); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacking) visitZip(f *zip.File, v visit) error {
	mode := f.Mode()
	if mode.IsDir() || strings.HasSuffix(f.Name, "/") {
		return nil
	}
	at, err := u.place(f.Name)
	if err != nil || at == "" {
		return err
	}
	if mode.Type()&^fs.ModeSymlink != 0 {
		return refuse("the source's archive is refused: %.80q is neither a file nor a folder nor a symlink", f.Name)
	}
	if f.Flags&zipEncrypted != 0 {
		return refuse("the source's archive is refused: %.80q is encrypted", f.Name)
	}
	content, err := f.Open()
	if err != nil {
		return fmt.Errorf("%w: %.80q: %w", errDamaged, f.Name, err)
	}
	defer content.Close()
	e := entry{path: at, kind: fileKind(mode&0o111 != 0)}
	if mode.Type() == fs.ModeSymlink {
		link, err := io.ReadAll(io.LimitReader(content, channel.MaxPath+1))
		if err != nil {
			return fmt.Errorf("%w: %.80q: %w", errDamaged, f.Name, err)
		}
		e.kind, e.link = channel.KindSymlink, string(link)
	}
	return v(e, patient{u.ctx, content})
}

// rationed allows left bytes to be read before it is open.
type rationed struct {
	ctx  func() error
	r    io.ReaderAt
	left int64
	open bool
}

func (r *rationed) ReadAt(p []byte, off int64) (int, error) {
	if err := r.ctx(); err != nil {
		return 0, err
	}
	if !r.open {
		if r.left -= int64(len(p)); r.left < 0 {
			return 0, tooLarge("the source's archive has a list of files longer than %d bytes", maxDirectory)
		}
	}
	return r.r.ReadAt(p, off)
}
