package flash

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/md5"
	"fmt"
	"time"
)

// blockSize is the payload of a data command to a ROM.
const blockSize = 1024

// pieceSize bounds the data that one BEGIN erases and that is written before the next. It
// is the inflate window of the ROM. A disturbed line costs a piece at most.
const pieceSize = 32 << 10

// sectorSize is the smallest part of a flash that can be erased.
const sectorSize = 4 << 10

// The longest times of flash parts. The rates are esptool's, found on slow parts; a
// common one is ten times faster.
const (
	erasePerMiB = 30 * time.Second
	writePerMiB = 40 * time.Second
	digestMiB   = 8 * time.Second
)

// scaled returns answerTimeout plus the time for n bytes.
func scaled(n int, perMiB time.Duration) time.Duration {
	return answerTimeout + time.Duration(n)*perMiB/(1<<20)
}

// piece is the part of flash that one BEGIN erases, and its data.
type piece struct {
	offset uint32
	data   []byte // whole words, at most pieceSize bytes
}

// cut splits a region into pieces.
func cut(offset uint32, data []byte) []piece {
	var out []piece
	for len(data) > 0 {
		n := min(pieceSize, len(data))
		out = append(out, piece{offset, data[:n]})
		offset, data = offset+uint32(n), data[n:]
	}
	return out
}

func (p piece) sum() [md5.Size]byte { return md5.Sum(p.data) }

// sectors splits a piece into its sectors.
func (p piece) sectors() []piece {
	var out []piece
	for at := 0; at < len(p.data); at += sectorSize {
		out = append(out, piece{p.offset + uint32(at), p.data[at:min(at+sectorSize, len(p.data))]})
	}
	return out
}

// transfer is the way in which a piece goes over the line.
type transfer struct {
	begin, data byte // commands
	size        int  // number of bytes that the begin command erases
	announced   int  // number of blocks
	blocks      [][]byte
}

func (t transfer) deflated() bool { return t.begin == opDeflBegin }

// bytes counts the bytes on the line, without framing.
func (t transfer) bytes() int {
	n := 0
	for _, b := range t.blocks {
		n += len(b)
	}
	return n
}

// newTransfer deflates the piece if that makes it smaller and is harmless. An ESP32 ends
// a deflate stream by writing its whole inflate window, over whatever follows the piece
// in flash. A piece of exactly a window is deflated without the end of the stream: the
// ROM writes the full window, and waits for a block that never arrives. Shorter pieces
// are deflated only for ROMs that are known to be exact.
func newTransfer(p piece, plain, exact bool) (transfer, error) {
	whole := len(p.data) == pieceSize
	if !plain && (whole || exact) {
		z, err := deflate(p.data, !whole)
		if err != nil {
			return transfer{}, fmt.Errorf("compressing: %w", err)
		}
		if len(z) < len(p.data) {
			t := transfer{begin: opDeflBegin, data: opDeflData, size: len(p.data), blocks: split(z)}
			t.announced = len(t.blocks)
			if whole {
				t.announced++
			}
			return t, nil
		}
	}
	t := transfer{begin: opFlashBegin, data: opFlashData, size: len(p.data), blocks: split(p.data)}
	t.announced = len(t.blocks)
	// Blocks of plain data all have the size that was announced.
	last := len(t.blocks) - 1
	if short := blockSize - len(t.blocks[last]); short > 0 {
		t.blocks[last] = append(bytes.Clone(t.blocks[last]), bytes.Repeat([]byte{0xFF}, short)...)
	}
	return t, nil
}

// deflate compresses data, with or without the end of the stream.
func deflate(data []byte, end bool) ([]byte, error) {
	var buf bytes.Buffer
	w, err := zlib.NewWriterLevel(&buf, zlib.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if end {
		err = w.Close()
	} else {
		err = w.Flush()
	}
	return buf.Bytes(), err
}

func split(b []byte) [][]byte {
	var out [][]byte
	for len(b) > blockSize {
		out, b = append(out, b[:blockSize]), b[blockSize:]
	}
	return append(out, b)
}

// Bounds of the repetitions on a bad line.
const (
	pieceTries    = 3
	maxUndeflated = 4 // deflated pieces that may fail
	blockTries    = 6 // of which most blocks were refused for their checksum
	lostTries     = 2 // of which the answer was lost or spoiled, which takes seconds
)

// writePiece erases and writes one piece, and repeats it after disturbances of the line.
// progress gets the number of bytes of the piece that are in flash. A deflated piece that
// failed is sent plain, so that a disturbance costs only a block. After a few such
// failures all pieces are sent plain.
func (d *Device) writePiece(ctx context.Context, name string, p piece, plain bool, progress func(int)) (sent int, err error) {
	for try := 1; ; try++ {
		t, err := newTransfer(p, plain || try > 2 || d.undeflated > maxUndeflated, d.chip.ExactDeflate)
		if err != nil {
			return sent, err
		}
		sent += t.bytes()
		if err = d.begin(ctx, "erasing the flash for "+name, t.begin, t.size, t.announced, p.offset); err == nil {
			err = d.send(ctx, name, p, t, progress)
		}
		if err == nil || try == pieceTries || !passing(err) {
			return sent, err
		}
		if t.deflated() {
			d.undeflated++
		}
		d.log.Warn("writing a piece again", "offset", p.offset, "after", err)
		if settleErr := d.settle(ctx); settleErr != nil {
			return sent, stopped(ctx, err, "writing "+name)
		}
	}
}

// send sends the blocks of a piece. A plain block that was spoiled is sent again
// alone. A deflated one ends the piece: the ROM knows no way to repeat it.
func (d *Device) send(ctx context.Context, name string, p piece, t transfer, progress func(int)) error {
	number := uint32(0)
	for i, block := range t.blocks {
		step := fmt.Sprintf("writing %s (block %d of %d at 0x%x)", name, i+1, len(t.blocks), p.offset)
		var err error
		if t.deflated() {
			_, _, err = d.exchange(ctx, step, dataRequest(t.data, number, block), scaled(pieceSize, writePerMiB), 0)
			number++
		} else {
			number, err = d.sendPlain(ctx, step, number, block)
		}
		if err != nil {
			return err
		}
		progress(len(p.data) * (i + 1) / len(t.blocks))
	}
	return nil
}

// sendPlain sends one plain block and returns the number of the next.
//
// A block with a wrong checksum uses up its number, and the same payload is accepted
// under the next one. After an answer that was lost or spoiled, the block is sent again
// under its own number: the ROM refuses a block that it already has. If the block in the
// ROM was spoiled, the digest of the region differs.
func (d *Device) sendPlain(ctx context.Context, step string, number uint32, block []byte) (next uint32, err error) {
	lost := 0 // answers; then it is unknown whether the ROM has counted this number
	for try := 1; ; try++ {
		_, _, err = d.exchange(ctx, step, dataRequest(opFlashData, number, block), scaled(blockSize, writePerMiB), 0)
		code, isROM := romCode(err)
		switch {
		case err == nil:
			return number + 1, nil
		case lost > 0 && isROM && code == romInvalidMessage:
			return number + 1, nil
		case try == blockTries || lost == lostTries:
			return number, err
		case isROM && code == romInvalidCRC:
			number, lost = number+1, 0
			d.slowDown(ctx)
			continue
		case !IsKind(err, KindSilent) && !IsKind(err, KindGarbled):
			return number, err
		}
		lost++
		if settleErr := d.settle(ctx); settleErr != nil {
			return number, stopped(ctx, err, step)
		}
	}
}

// begin announces data. The ROM erases before it answers.
func (d *Device) begin(ctx context.Context, step string, op byte, size, blocks int, offset uint32) error {
	w := []uint32{uint32(size), uint32(blocks), blockSize, offset}
	if d.chip.EncryptedWord {
		w = append(w, 0) // not to be encrypted
	}
	_, _, err := d.exchange(ctx, step, request{op: op, data: words(w...)}, scaled(size, erasePerMiB), 0)
	if size > 0 && (IsKind(err, KindSilent) || IsKind(err, KindGarbled)) {
		d.doubt = err
	}
	return err
}
