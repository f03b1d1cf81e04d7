package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/farforge/farforge/common/channel"
)

// unpacking unpacks one archive into a directory. It reads the archive twice: first
// it judges every path, and hashes and counts every content; only if all are good
// does it write.
type unpacking struct {
	ctx     context.Context
	archive *os.File
	size    int64 // of the archive
	format  format
	strip   int
	limit   int64 // of the contents, in bytes
}

// entry is a file or symlink in an archive.
type entry struct {
	path string
	kind channel.Kind
	link string
}

// visit is called with every entry, in the archive's order; r reads the content of
// a file.
type visit func(e entry, r io.Reader) error

// errDamaged is wrapped by errors about the archive itself.
var errDamaged = errors.New("the source's archive is damaged")

func (u *unpacking) into(root *os.Root) (*channel.Manifest, error) {
	m, err := u.manifest()
	if err != nil {
		return nil, err
	}
	sink := channel.NewDirSink(root)
	defer sink.Close()
	need, err := sink.Need(u.ctx, m)
	if err != nil {
		return nil, err
	}
	missing := make(map[string]bool, len(need))
	for _, hash := range need {
		missing[hash] = true
	}
	next := 0
	err = u.walk(func(e entry, r io.Reader) error {
		if next == len(m.Files) {
			return errDamaged // it has changed meanwhile
		}
		file := m.Files[next]
		next++
		if e.kind == channel.KindSymlink || !missing[file.SHA256] {
			return nil
		}
		delete(missing, file.SHA256)
		return sink.Put(u.ctx, file.SHA256, file.Size, r)
	})
	if err != nil {
		return nil, err
	}
	return m, sink.Done(u.ctx)
}

// manifest lists the archive's contents, and applies the rules for uploads.
func (u *unpacking) manifest() (*channel.Manifest, error) {
	m := &channel.Manifest{}
	left := u.limit
	err := u.walk(func(e entry, r io.Reader) error {
		if len(m.Files) == channel.MaxFiles {
			return tooLarge("the source's archive holds more than %d files", channel.MaxFiles)
		}
		file := channel.File{Path: e.path, Kind: e.kind, Link: e.link}
		if e.kind != channel.KindSymlink {
			h := sha256.New()
			n, err := io.Copy(h, io.LimitReader(r, left+1))
			if err != nil {
				return fmt.Errorf("%w: %s: %w", errDamaged, e.path, err)
			}
			if left -= n; left < 0 {
				return tooLarge("the source's archive unpacks to more than %d bytes", u.limit)
			}
			file.Size, file.SHA256 = n, hex.EncodeToString(h.Sum(nil))
		}
		m.Files = append(m.Files, file)
		return nil
	})
	if err == nil {
		err = m.Validate()
	}
	if p := asProblem(err); p != nil {
		p.Message = strings.Replace(p.Message, "the manifest is refused", "the source's archive is refused", 1)
		return nil, p
	}
	if errors.Is(err, errDamaged) && u.ctx.Err() == nil {
		return nil, refuse("%v", err)
	}
	return m, err
}

func (u *unpacking) walk(v visit) error {
	if u.format == formatZip {
		return u.walkZip(v)
	}
	return u.walkTar(v)
}

// place returns the path of an entry in the project, or "" if stripping leaves
// nothing. It judges the folders that stripping drops; the manifest judges the
// rest.
func (u *unpacking) place(name string) (string, error) {
	parts := strings.Split(name, "/")
	for _, part := range parts {
		if part == ".." || strings.HasPrefix(name, "/") {
			return "", refuse("the source's archive is refused: the path %.80q leads out of the project", name)
		}
	}
	if len(parts) <= u.strip {
		return "", nil
	}
	parts = parts[u.strip:]
	for len(parts) > 0 && parts[0] == "." { // as in "tar -c ."
		parts = parts[1:]
	}
	return strings.Join(parts, "/"), nil
}

func fileKind(executable bool) channel.Kind {
	if executable {
		return channel.KindExecutable
	}
	return channel.KindFile
}

// patient is a reader that stops with its context.
type patient struct {
	ctx context.Context
	r   io.Reader
}

func (p patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}
