package flash

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// blockSize is the payload of a data command to a ROM.
const blockSize = 1024

// How long flash parts take at worst. The rates are esptool's, found on slow
// parts; a common one is ten times faster.
const (
	erasePerMiB = 30 * time.Second
	writePerMiB = 40 * time.Second
	digestMiB   = 8 * time.Second
)

// scaled is the time for n bytes at so much per MiB, on top of the common one.
func scaled(n int, perMiB time.Duration) time.Duration {
	return answerTimeout + time.Duration(n)*perMiB/(1<<20)
}

// transfer is the way in which a region goes over the line.
type transfer struct {
	begin, data byte // commands
	size        int  // what the begin command announces
	blocks      [][]byte
	yields      []int // bytes in flash after each block
}

// newTransfer deflates the region if that makes it smaller.
func newTransfer(r region, plain bool) (transfer, error) {
	if !plain {
		z, err := deflate(r.data, blockSize)
		if err != nil {
			return transfer{}, fmt.Errorf("compressing %s: %w", r.name, err)
		}
		if len(z.data) < len(r.data) {
			// The ROM erases what is announced here, in whole blocks.
			return transfer{begin: opDeflBegin, data: opDeflData,
				size: roundUp(len(r.data), blockSize), blocks: split(z.data), yields: z.yields}, nil
		}
	}
	t := transfer{begin: opFlashBegin, data: opFlashData, size: len(r.data), blocks: split(r.data)}
	for i := range t.blocks {
		t.yields = append(t.yields, min((i+1)*blockSize, len(r.data)))
	}
	// Blocks of plain data all have the size that was announced.
	last := len(t.blocks) - 1
	if short := blockSize - len(t.blocks[last]); short > 0 {
		t.blocks[last] = append(bytes.Clone(t.blocks[last]), bytes.Repeat([]byte{0xFF}, short)...)
	}
	return t, nil
}

func split(b []byte) [][]byte {
	var out [][]byte
	for len(b) > blockSize {
		out, b = append(out, b[:blockSize]), b[blockSize:]
	}
	return append(out, b)
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// bytes is what goes over the line, without framing.
func (t transfer) bytes() int {
	n := 0
	for _, b := range t.blocks {
		n += len(b)
	}
	return n
}

// write erases and writes one region. It may be repeated as a whole.
func (d *Device) write(ctx context.Context, r region, t transfer, report func(Phase, int)) error {
	report(Erase, 0)
	if err := d.begin(ctx, "erasing the flash for "+r.name, t.begin, t.size, len(t.blocks), r.offset); err != nil {
		return err
	}
	before := 0
	for i, block := range t.blocks {
		step := fmt.Sprintf("writing %s (block %d of %d)", r.name, i+1, len(t.blocks))
		limit := scaled(t.yields[i]-before+window, writePerMiB)
		if _, _, err := d.exchange(ctx, step, dataRequest(t.data, uint32(i), block), limit, 0); err != nil {
			return err
		}
		before = t.yields[i]
		report(Write, before)
	}
	return nil
}

// begin announces data. The ROM erases before it answers.
func (d *Device) begin(ctx context.Context, step string, op byte, size, blocks int, offset uint32) error {
	w := []uint32{uint32(size), uint32(blocks), blockSize, offset}
	if d.chip.EncryptedWord {
		w = append(w, 0) // not to be encrypted
	}
	_, _, err := d.exchange(ctx, step, request{op: op, data: words(w...)}, scaled(size, erasePerMiB), 0)
	return err
}
