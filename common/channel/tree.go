package channel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// maxManifest bounds the JSON of a manifest or a need, in bytes.
const maxManifest = 64 << 20

// Transferred tells what sending or receiving a tree took.
type Transferred struct {
	Files int   // in the manifest
	Bytes int64 // of contents that went over the channel, before compression
}

// Progress is called with the number of content bytes that have gone so far
// and the number that will go.
type Progress func(done, total int64)

// Sink is where a received tree goes. Its methods are called one after another
// from one goroutine.
type Sink interface {
	// Need gets a manifest that has passed Validate and returns the hashes of
	// the contents that the sink lacks, each once.
	Need(m *Manifest) ([]string, error)
	// Put stores one content. r yields exactly size bytes; its last Read
	// returns an error instead of io.EOF if they do not have the hash, and the
	// sink must then keep nothing of them.
	Put(hash string, size int64, r io.Reader) error
	// Done is called when all needed contents were put.
	Done() error
}

// SendTree sends the tree that the manifest lists; open opens one of its
// files. Contents that have changed since the manifest was made are an error.
func SendTree(ctx context.Context, m Messages, manifest *Manifest, open func(File) (io.ReadCloser, error), progress Progress) (Transferred, error) {
	var sent Transferred
	if err := manifest.Validate(); err != nil {
		return sent, err
	}
	if err := writeJSON(ctx, m, ObjectManifest, manifest); err != nil {
		return sent, err
	}
	var need []string
	if err := readJSON(ctx, m, ObjectNeed, &need); err != nil {
		return sent, err
	}
	files, total, err := resolve(manifest, need)
	if err != nil {
		return sent, err
	}
	contents := &contentsReader{files: files, open: open, total: total, progress: progress}
	defer contents.close()
	if err := WriteObject(ctx, m, ObjectContents, total, contents); err != nil {
		return sent, err
	}
	var received Transferred
	if err := readJSON(ctx, m, ObjectReceived, &received); err != nil {
		return sent, err
	}
	return Transferred{Files: len(manifest.Files), Bytes: total}, nil
}

// ReceiveTree receives a tree into the sink. Hostile manifests and contents
// that do not have their hash are a *Problem.
func ReceiveTree(ctx context.Context, m Messages, sink Sink, progress Progress) (*Manifest, Transferred, error) {
	var got Transferred
	var manifest Manifest
	if err := readJSON(ctx, m, ObjectManifest, &manifest); err != nil {
		return nil, got, err
	}
	if err := manifest.Validate(); err != nil {
		return nil, got, err
	}
	need, err := sink.Need(&manifest)
	if err != nil {
		return nil, got, err
	}
	files, total, err := resolve(&manifest, need)
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
			return malformed("%d bytes of contents where %d were asked for", size, total)
		}
		if progress != nil {
			r = &countingReader{r: r, total: total, progress: progress}
		}
		for _, f := range files {
			checked := &hashReader{r: io.LimitReader(r, f.Size), left: f.Size, file: f}
			checked.hash = sha256.New()
			if err := sink.Put(f.SHA256, f.Size, checked); err != nil {
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
	if err := sink.Done(); err != nil {
		return nil, got, err
	}
	got = Transferred{Files: len(manifest.Files), Bytes: total}
	if err := writeJSON(ctx, m, ObjectReceived, got); err != nil {
		return nil, got, err
	}
	return &manifest, got, nil
}

// resolve finds a file for each needed hash, and the sum of their sizes.
func resolve(m *Manifest, need []string) ([]File, int64, error) {
	byHash := make(map[string]File, len(m.Files))
	for _, f := range m.Files {
		if f.Kind != KindSymlink {
			byHash[f.SHA256] = f
		}
	}
	files := make([]File, 0, len(need))
	var total int64
	for _, hash := range need {
		f, ok := byHash[hash]
		if !ok {
			return nil, 0, malformed("the content %.64q is asked for twice or is not in the manifest", hash)
		}
		delete(byHash, hash)
		files = append(files, f)
		total += f.Size
	}
	return files, total, nil
}

func writeJSON(ctx context.Context, m Messages, kind ObjectKind, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("send the %s: %w", kind, err)
	}
	return WriteObject(ctx, m, kind, int64(len(data)), bytes.NewReader(data))
}

func readJSON(ctx context.Context, m Messages, kind ObjectKind, v any) error {
	return ReadObject(ctx, m, kind, maxManifest, func(size int64, r io.Reader) error {
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(data, v); err != nil {
			return malformed("the %s is not JSON as expected: %v", kind, err)
		}
		return nil
	})
}

func digest(sum []byte) string { return hex.EncodeToString(sum) }
