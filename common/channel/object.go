package channel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/farforge/farforge/common/bounded"
)

// The first byte of each message on a bulk channel says what it is.
const (
	frameHeader = 'H' // JSON of Header
	frameData   = 'D' // compressed bytes
	frameEnd    = 'E' // nothing: the object is complete
)

// Limits of decompression. They bound what a sender can make a receiver spend.
const (
	maxWindow = 8 << 20 // bytes of memory
	// An object may have freeExpansion bytes, and maxExpansion times as many as
	// came over the channel. Only text made for the purpose compresses better.
	freeExpansion = 128 << 20
	maxExpansion  = 256
)

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
// It returns an error if r holds fewer or more bytes than size.
func WriteObject(ctx context.Context, m Messages, kind ObjectKind, size int64, r io.Reader) error {
	if err := writeObject(ctx, m, kind, size, r); err != nil {
		return fmt.Errorf("send the %s: %w", kind, err)
	}
	return nil
}

func writeObject(ctx context.Context, m Messages, kind ObjectKind, size int64, r io.Reader) error {
	header, err := json.Marshal(Header{Kind: kind, Size: size, Encoding: "zstd"})
	if err != nil {
		return err
	}
	if err := m.WriteMessage(ctx, append([]byte{frameHeader}, header...)); err != nil {
		return err
	}
	w := &frameWriter{ctx: ctx, m: m, buf: make([]byte, 1, MaxMessage)}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return err
	}
	n, err := io.Copy(z, io.LimitReader(contextReader{ctx, r}, size+1))
	if err == nil && n != size {
		err = fmt.Errorf("it holds %d bytes where %d were announced", n, size)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	return m.WriteMessage(ctx, []byte{frameEnd})
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

// ReadObject receives the next object, which must be of the kind and at most
// limit bytes long, and calls use with a reader of exactly its bytes. ReadObject
// discards what use leaves unread.
func ReadObject(ctx context.Context, m Messages, kind ObjectKind, limit int64, use func(size int64, r io.Reader) error) error {
	if err := readObject(ctx, m, kind, limit, use); err != nil {
		return fmt.Errorf("receive the %s: %w", kind, err)
	}
	return nil
}

func readObject(ctx context.Context, m Messages, kind ObjectKind, limit int64, use func(size int64, r io.Reader) error) error {
	message, err := m.ReadMessage(ctx)
	if err != nil {
		return noEOF(err)
	}
	header, err := parseHeader(message, kind, limit)
	if err != nil {
		return err
	}
	frames := &frameReader{ctx: ctx, m: m}
	z, err := zstd.NewReader(frames, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return frames.blame(err)
	}
	defer z.Close()
	body := &exactReader{z: z, frames: frames, left: header.Size}
	if err := use(header.Size, body); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return err
	}
	return frames.drain()
}

func parseHeader(message []byte, kind ObjectKind, limit int64) (Header, error) {
	var h Header
	if len(message) == 0 || message[0] != frameHeader {
		return h, malformed("the message is not an object header")
	}
	if err := bounded.Unmarshal(message[1:], bounded.Limits{Bytes: 4096, Items: 64}, &h); err != nil {
		return h, malformed("the object header is not the JSON that was expected: %v", err)
	}
	switch {
	case h.Kind != kind:
		return h, malformed("the object is a %.40q", h.Kind)
	case h.Encoding != "zstd":
		return h, malformed("the object has the encoding %.40q", h.Encoding)
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

// noEOF turns io.EOF in the middle of an exchange into io.ErrUnexpectedEOF.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// frameReader reads the bytes of the data messages up to the end message.
type frameReader struct {
	ctx      context.Context
	m        Messages
	rest     []byte
	received int64 // bytes of data messages
	end      bool
	err      error // of the channel, or the context's
}

func (r *frameReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.end {
			return 0, io.EOF
		}
		message, err := r.m.ReadMessage(r.ctx)
		if err != nil {
			r.err = noEOF(err)
			return 0, r.err
		}
		switch {
		case len(message) > 0 && message[0] == frameData:
			r.rest = message[1:]
			r.received += int64(len(message))
		case len(message) == 1 && message[0] == frameEnd:
			r.end = true
		default:
			r.err = malformed("a message within an object is neither data nor its end")
			return 0, r.err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// blame returns the cause of an error of the decompressor: the channel's error, if
// that failed, and otherwise a mistake of the sender.
func (r *frameReader) blame(err error) error {
	if r.err != nil {
		return r.err
	}
	return malformed("the object is not valid zstd: %v", err)
}

// drain reads up to the end message. Nothing may come before that: the
// decompressor has read its whole stream.
func (r *frameReader) drain() error {
	n, err := io.Copy(io.Discard, r)
	if err == nil && n > 0 {
		err = malformed("%d bytes follow the object", n)
	}
	return err
}

// exactReader reads exactly left bytes from the decompressor. A stream that is
// shorter or longer is an error, and so is one that expands too much.
type exactReader struct {
	z      io.Reader
	frames *frameReader
	left   int64
	done   int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	if err := e.frames.ctx.Err(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if e.left == 0 {
		// The decompressor must agree that this is the end.
		var one [1]byte
		if n, err := io.ReadFull(e.z, one[:]); n > 0 {
			return 0, malformed("the object is longer than announced")
		} else if err != io.EOF {
			return 0, e.frames.blame(err)
		}
		return 0, io.EOF
	}
	n, err := e.z.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	e.done += int64(n)
	switch {
	case err == io.EOF && e.left > 0:
		return n, malformed("the object is %d bytes shorter than announced", e.left)
	case err != nil && err != io.EOF:
		return n, e.frames.blame(err)
	case e.done > freeExpansion+maxExpansion*e.frames.received:
		return n, &Problem{Code: ProblemSizeLimit, Message: fmt.Sprintf("the object expands to more than %d times its compressed size", maxExpansion)}
	}
	return n, nil
}
