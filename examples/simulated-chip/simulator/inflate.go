package simulator

import (
	"compress/zlib"
	"errors"
	"io"
	"iter"
)

// inflater decompresses a zlib stream that arrives in pieces. Go's decompressor pulls its
// input, so it runs in a coroutine until it needs more.
type inflater struct {
	input  []byte
	output []byte
	done   bool
	err    error
	next   func() (struct{}, bool)
	stop   func()
}

// errSurplus reports data behind the end of a stream.
var errSurplus = errors.New("there is data behind the end of the stream")

func newInflater() *inflater {
	f := &inflater{}
	f.next, f.stop = iter.Pull(func(needsMore func(struct{}) bool) {
		src := &drip{inflater: f, needsMore: needsMore}
		z, err := zlib.NewReader(src)
		buf := make([]byte, 32<<10)
		for err == nil {
			var n int
			n, err = z.Read(buf)
			f.output = append(f.output, buf[:n]...)
		}
		f.done = errors.Is(err, io.EOF)
		if f.done && len(f.input) > 0 {
			f.err = errSurplus
		}
		if !f.done {
			f.err = err
		}
	})
	return f
}

// feed decompresses the next piece and returns the output. After the end of the stream
// further input is ignored, as loaders do.
func (f *inflater) feed(p []byte) (out []byte, done bool, err error) {
	if f.err != nil || f.done {
		return nil, f.done, f.err
	}
	f.input, f.output = p, nil
	f.next()
	return f.output, f.done, f.err
}

// close ends the coroutine.
func (f *inflater) close() { f.stop() }

// drip is the source of the decompressor. It is an io.ByteReader, so that the
// decompressor never reads more than it needs.
type drip struct {
	*inflater
	needsMore func(struct{}) bool
}

func (d *drip) ReadByte() (byte, error) {
	for len(d.input) == 0 {
		if !d.needsMore(struct{}{}) {
			return 0, io.ErrClosedPipe
		}
	}
	b := d.input[0]
	d.input = d.input[1:]
	return b, nil
}

func (d *drip) Read(p []byte) (int, error) {
	for len(d.input) == 0 {
		if !d.needsMore(struct{}{}) {
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(p, d.input)
	d.input = d.input[n:]
	return n, nil
}
