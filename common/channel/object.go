package channel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// The first byte of each message on a bulk channel tells what it is.
const (
	frameHeader = 'H' // JSON of Header
	frameData   = 'D' // compressed bytes
	frameEnd    = 'E' // nothing: the object is complete
)

// maxWindow bounds the memory that a sender can make a receiver spend on
// decompression, in bytes.
const maxWindow = 8 << 20

// ObjectKind names one of the steps in sending a tree.
type ObjectKind string

// The kinds of objects, in the order in which they go.
const (
	ObjectManifest ObjectKind = "manifest"
	ObjectNeed     ObjectKind = "need"
	ObjectContents ObjectKind = "contents"
	ObjectReceived ObjectKind = "received"
)

// Header opens an object.
type Header struct {
	Kind ObjectKind `json:"kind"`
	// Size is the length of the object before compression, in bytes.
	Size int64 `json:"size"`
	// Encoding is always "zstd".
	Encoding string `json:"encoding"`
}

// WriteObject sends size bytes of r as one object:
//
//	'H' {"kind":"manifest","size":312,"encoding":"zstd"}
//	'D' compressed bytes, at most MaxMessage−1
//	 …
//	'E'
//
// It is an error of the sender if r holds less or more than size.
func WriteObject(ctx context.Context, m Messages, kind ObjectKind, size int64, r io.Reader) error {
	header, err := json.Marshal(Header{Kind: kind, Size: size, Encoding: "zstd"})
	if err != nil {
		return fmt.Errorf("send the %s: %w", kind, err)
	}
	if err := m.WriteMessage(ctx, append([]byte{frameHeader}, header...)); err != nil {
		return fmt.Errorf("send the %s: %w", kind, err)
	}
	w := &frameWriter{ctx: ctx, m: m, buf: make([]byte, 1, MaxMessage)}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return fmt.Errorf("send the %s: %w", kind, err)
	}
	n, err := io.Copy(z, io.LimitReader(r, size+1))
	if err == nil && n != size {
		err = fmt.Errorf("it holds %d bytes where %d were announced", n, size)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return fmt.Errorf("send the %s: %w", kind, err)
	}
	if err := w.flush(); err != nil {
		return fmt.Errorf("send the %s: %w", kind, err)
	}
	if err := m.WriteMessage(ctx, []byte{frameEnd}); err != nil {
		return fmt.Errorf("send the %s: %w", kind, err)
	}
	return nil
}

// frameWriter packs a byte stream into data messages.
type frameWriter struct {
	ctx context.Context
	m   Messages
	buf []byte // the kind byte, then data
}

func (w *frameWriter) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := min(len(p), MaxMessage-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		if len(w.buf) == MaxMessage {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

func (w *frameWriter) flush() error {
	if len(w.buf) == 1 {
		return nil
	}
	w.buf[0] = frameData
	err := w.m.WriteMessage(w.ctx, w.buf)
	w.buf = w.buf[:1]
	return err
}

// ReadObject receives the next object, which must be of the kind and not larger
// than limit bytes, and calls use with a reader of exactly its bytes. What use
// leaves unread is passed over.
func ReadObject(ctx context.Context, m Messages, kind ObjectKind, limit int64, use func(size int64, r io.Reader) error) error {
	message, err := m.ReadMessage(ctx)
	if err != nil {
		return fmt.Errorf("receive the %s: %w", kind, noEOF(err))
	}
	header, err := parseHeader(message, kind, limit)
	if err != nil {
		return fmt.Errorf("receive the %s: %w", kind, err)
	}
	frames := &frameReader{ctx: ctx, m: m}
	z, err := zstd.NewReader(frames, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return fmt.Errorf("receive the %s: %w", kind, err)
	}
	defer z.Close()
	body := &exactReader{r: z, left: header.Size}
	if err := use(header.Size, body); err != nil {
		return fmt.Errorf("receive the %s: %w", kind, err)
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return fmt.Errorf("receive the %s: %w", kind, err)
	}
	if err := frames.drain(); err != nil {
		return fmt.Errorf("receive the %s: %w", kind, err)
	}
	return nil
}

func parseHeader(message []byte, kind ObjectKind, limit int64) (Header, error) {
	var h Header
	if len(message) == 0 || message[0] != frameHeader {
		return h, malformed("the message is no object header")
	}
	if err := json.Unmarshal(message[1:], &h); err != nil {
		return h, malformed("the object header is not JSON as expected: %v", err)
	}
	switch {
	case h.Kind != kind:
		return h, malformed("the object is a %q", h.Kind)
	case h.Encoding != "zstd":
		return h, malformed("the object has the encoding %q", h.Encoding)
	case h.Size < 0:
		return h, malformed("the object has the size %d", h.Size)
	case h.Size > limit:
		return h, &Problem{Code: ProblemSizeLimit, Message: fmt.Sprintf("the %s is %d bytes long, at most %d are allowed", kind, h.Size, limit)}
	}
	return h, nil
}

func malformed(format string, args ...any) error {
	return &Problem{Code: ProblemMalformed, Message: fmt.Sprintf(format, args...)}
}

// noEOF keeps an io.EOF in the middle of an exchange from passing for an
// orderly end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// frameReader is the byte stream of the data messages up to the end message.
type frameReader struct {
	ctx  context.Context
	m    Messages
	rest []byte
	end  bool
}

func (r *frameReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.end {
			return 0, io.EOF
		}
		message, err := r.m.ReadMessage(r.ctx)
		if err != nil {
			return 0, noEOF(err)
		}
		switch {
		case len(message) > 0 && message[0] == frameData:
			r.rest = message[1:]
		case len(message) == 1 && message[0] == frameEnd:
			r.end = true
		default:
			return 0, malformed("a message within an object is neither data nor its end")
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// drain reads up to the end message. Only an empty tail is in order: the
// decompressor has read its whole stream before.
func (r *frameReader) drain() error {
	n, err := io.Copy(io.Discard, r)
	if err == nil && n > 0 {
		err = malformed("%d bytes follow the object", n)
	}
	return err
}

// exactReader yields exactly left bytes of r, then io.EOF; a stream that is
// shorter or longer is an error.
type exactReader struct {
	r    io.Reader
	left int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if e.left == 0 {
		// The decompressor must agree that this is the end.
		var one [1]byte
		if n, err := io.ReadFull(e.r, one[:]); n > 0 {
			return 0, malformed("the object is longer than announced")
		} else if err != io.EOF {
			return 0, decodeError(err)
		}
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if err == io.EOF {
		err = nil
		if e.left > 0 {
			err = malformed("the object is %d bytes shorter than announced", e.left)
		}
	}
	if err != nil {
		err = decodeError(err)
	}
	return n, err
}

// decodeError makes the decompressor's complaints the sender's fault, and
// leaves the channel's own errors as they are.
func decodeError(err error) error {
	for _, target := range []error{zstd.ErrMagicMismatch, zstd.ErrCRCMismatch, zstd.ErrWindowSizeExceeded, zstd.ErrDecoderSizeExceeded, zstd.ErrReservedBlockType, zstd.ErrFrameSizeExceeded} {
		if errors.Is(err, target) {
			return malformed("the object is not valid zstd: %v", err)
		}
	}
	return err
}
