package channel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/farforge/farforge/common/bounded"
)

// Limits of the objects that are JSON, in bytes.
const (
	maxManifest = 32 << 20
	maxNeed     = 8 << 20
	maxReceived = 4 << 10
)

// Transferred counts the files and bytes of a tree that were sent or received.
type Transferred struct {
	Files int   // in the manifest
	Bytes int64 // of contents that went over the channel, before compression
}

// Progress is called with the number of content bytes that have gone so far
// and the number that will go.
type Progress func(done, total int64)

// Sink stores a received tree. Its methods are called one after another from
// one goroutine, and stop with the context.
type Sink interface {
	// Need gets a manifest that has passed Validate and returns the hashes of
	// the contents that the sink lacks, each once.
	Need(ctx context.Context, m *Manifest) ([]string, error)
	// Put stores one content. r has exactly size bytes; its last Read returns
	// an error instead of io.EOF if they do not have the hash, and the sink
	// must then keep none of them.
	Put(ctx context.Context, hash string, size int64, r io.Reader) error
	// Done is called when all needed contents were put.
	Done(ctx context.Context) error
	// Close is called at the end of a transfer, however it ended.
	Close() error
}

// SendTree sends the tree that the manifest lists; open opens one of its
// files. A content that has changed since the manifest was made is an error.
func SendTree(ctx context.Context, m Messages, manifest *Manifest, open func(File) (io.ReadCloser, error), progress Progress) (Transferred, error) {
	var sent Transferred
	if err := manifest.Validate(); err != nil {
		return sent, err
	}
	if err := writeJSON(ctx, m, ObjectManifest, manifest); err != nil {
		return sent, err
	}
	need, err := readNeed(ctx, m)
	if err != nil {
		return sent, err
	}
	files, total, err := manifest.resolve(need)
	if err != nil {
		return sent, err
	}
	contents := &contentsReader{files: files, open: open, total: total, progress: progress}
	defer contents.close()
	if err := WriteObject(ctx, m, ObjectContents, total, contents); err != nil {
		return sent, err
	}
	if _, err := readReceived(ctx, m); err != nil {
		return sent, err
	}
	return Transferred{Files: len(manifest.Files), Bytes: total}, nil
}

// ReceiveTree receives a tree into the sink. A hostile manifest and a content
// that does not have its hash are a *Problem.
func ReceiveTree(ctx context.Context, m Messages, sink Sink, progress Progress) (*Manifest, Transferred, error) {
	manifest, got, err := receiveTree(ctx, m, sink, progress)
	if err = errors.Join(err, sink.Close()); err != nil {
		return nil, Transferred{}, err
	}
	return manifest, got, writeJSON(ctx, m, ObjectReceived, got)
}

func receiveTree(ctx context.Context, m Messages, sink Sink, progress Progress) (*Manifest, Transferred, error) {
	var got Transferred
	manifest, err := readManifest(ctx, m)
	if err != nil {
		return nil, got, err
	}
	if err := manifest.Validate(); err != nil {
		return nil, got, err
	}
	need, err := sink.Need(ctx, manifest)
	if err != nil {
		return nil, got, err
	}
	files, total, err := manifest.resolve(need)
	if err != nil {
		return nil, got, err
	}
	if need == nil {
		need = []string{}
	}
	if err := writeJSON(ctx, m, ObjectNeed, need); err != nil {
		return nil, got, err
	}
	err = ReadObject(ctx, m, ObjectContents, total, func(size int64, r io.Reader) error {
		if size != total {
			return malformed("%d bytes of contents where %d were requested", size, total)
		}
		if progress != nil {
			r = &countingReader{r: r, total: total, progress: progress}
		}
		for _, f := range files {
			checked := &hashReader{r: io.LimitReader(r, f.Size), left: f.Size, file: f, hash: sha256.New()}
			if err := sink.Put(ctx, f.SHA256, f.Size, checked); err != nil {
				return err
			}
			if !checked.done {
				return fmt.Errorf("the sink left part of %s unread", f.Path)
			}
		}
		return nil
	})
	if err != nil {
		return nil, got, err
	}
	if err := sink.Done(ctx); err != nil {
		return nil, got, err
	}
	return manifest, Transferred{Files: len(manifest.Files), Bytes: total}, nil
}

// resolve finds a file for each needed hash, and the sum of their sizes.
func (m *Manifest) resolve(need []string) ([]File, int64, error) {
	byHash := make(map[string]int32, len(need))
	for i := range m.Files {
		if m.Files[i].Kind != KindSymlink {
			byHash[m.Files[i].SHA256] = int32(i)
		}
	}
	files := make([]File, 0, len(need))
	var total int64
	for _, hash := range need {
		i, ok := byHash[hash]
		if !ok {
			return nil, 0, malformed("the content %.64q is needed twice or is not in the manifest", hash)
		}
		delete(byHash, hash)
		files = append(files, m.Files[i])
		total += m.Files[i].Size
	}
	return files, total, nil
}

// readManifest decodes a manifest file by file. Equal hashes share their
// memory, because a hostile manifest may repeat one a hundred thousand times.
func readManifest(ctx context.Context, m Messages) (*Manifest, error) {
	manifest := &Manifest{}
	limits := bounded.Limits{Bytes: maxManifest, Items: 10 * MaxFiles, String: 8 * MaxPath, Element: 20 * MaxPath}
	hashes := make(map[string]string)
	paths := 0
	err := ReadObject(ctx, m, ObjectManifest, maxManifest, func(_ int64, r io.Reader) error {
		return refused(ObjectManifest, bounded.List(ctx, r, limits, "files", func(f File) error {
			if len(manifest.Files) == MaxFiles {
				return sizeError("it lists more than %d files", MaxFiles)
			}
			if paths += len(f.Path) + len(f.Link); paths > MaxPaths {
				return sizeError("its paths are longer than %d bytes together", MaxPaths)
			}
			if known, ok := hashes[f.SHA256]; ok {
				f.SHA256 = known
			} else {
				hashes[f.SHA256] = f.SHA256
			}
			manifest.Files = append(manifest.Files, f)
			return nil
		}))
	})
	return manifest, err
}

func readNeed(ctx context.Context, m Messages) ([]string, error) {
	var need []string
	limits := bounded.Limits{Bytes: maxNeed, Items: MaxFiles + 1, Depth: 1, String: 64}
	err := ReadObject(ctx, m, ObjectNeed, maxNeed, func(_ int64, r io.Reader) error {
		return refused(ObjectNeed, bounded.List(ctx, r, limits, "", func(hash string) error {
			need = append(need, hash)
			return nil
		}))
	})
	return need, err
}

func readReceived(ctx context.Context, m Messages) (Transferred, error) {
	var received Transferred
	err := ReadObject(ctx, m, ObjectReceived, maxReceived, func(_ int64, r io.Reader) error {
		return refused(ObjectReceived, bounded.Decode(ctx, r, bounded.Limits{Bytes: maxReceived}, &received))
	})
	return received, err
}

// refused makes a *Problem of an error that is about the text, and leaves errors
// of the channel and the context unchanged.
func refused(kind ObjectKind, err error) error {
	var excess *bounded.Excess
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &excess):
		return &Problem{Code: ProblemSizeLimit, Message: fmt.Sprintf("the %s is refused: %v", kind, err)}
	case errors.As(err, &syntax), errors.As(err, &wrong), errors.Is(err, bounded.ErrForm):
		return malformed("the %s is not the JSON that was expected: %v", kind, err)
	}
	return err
}

func writeJSON(ctx context.Context, m Messages, kind ObjectKind, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("send the %s: %w", kind, err)
	}
	return WriteObject(ctx, m, kind, int64(len(data)), bytes.NewReader(data))
}

func digest(sum []byte) string { return hex.EncodeToString(sum) }
