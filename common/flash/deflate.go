package flash

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
)

// deflated is a region as it goes over the line, in blocks of blockSize.
type deflated struct {
	data []byte
	// yields says how many bytes the chip can have written after each block.
	// It lags by what an inflater holds back, at most window bytes.
	yields []int
}

// window is the most that an inflater holds back.
const window = 32 << 10

// deflate compresses data and finds out, by inflating again, what each block
// of blockSize bytes will yield: the chip needs time for that, not for the block.
func deflate(data []byte, blockSize int) (deflated, error) {
	var buf bytes.Buffer
	w, err := zlib.NewWriterLevel(&buf, zlib.BestCompression)
	if err != nil {
		return deflated{}, err
	}
	if _, err := w.Write(data); err != nil {
		return deflated{}, err
	}
	if err := w.Close(); err != nil {
		return deflated{}, err
	}
	z := deflated{data: buf.Bytes()}
	z.yields = make([]int, (len(z.data)+blockSize-1)/blockSize)
	src := bytes.NewReader(z.data) // a ByteReader, so nothing is read ahead
	r, err := zlib.NewReader(src)
	if err != nil {
		return deflated{}, err
	}
	total, out := 0, make([]byte, 4096)
	for {
		n, err := r.Read(out)
		total += n
		used := len(z.data) - src.Len()
		z.yields[max(used-1, 0)/blockSize] = total
		if err == io.EOF {
			break
		}
		if err != nil {
			return deflated{}, fmt.Errorf("inflating again what was deflated: %w", err)
		}
	}
	for i := 1; i < len(z.yields); i++ {
		z.yields[i] = max(z.yields[i], z.yields[i-1])
	}
	return z, nil
}
