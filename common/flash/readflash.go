package flash

import (
	"context"
	"crypto/md5"
	"fmt"
	"io"
)

// slowRead is what one command of the ROM reads.
const slowRead = 64

// ReadFlash copies a part of the flash to w, and compares its digest with the
// chip's. progress, if not nil, gets the number of bytes so far.
func (d *Device) ReadFlash(ctx context.Context, offset uint32, size int, w io.Writer, progress func(int)) error {
	h := md5.New()
	for at := 0; at < size; {
		n := min(slowRead, size-at)
		step := fmt.Sprintf("reading the flash at 0x%x", offset+uint32(at))
		_, data, err := d.ask(ctx, step, request{op: opReadFlashSlow, data: words(offset+uint32(at), slowRead)}, answerTimeout, slowRead)
		if err != nil {
			return err
		}
		h.Write(data[:n])
		if _, err := w.Write(data[:n]); err != nil {
			return fmt.Errorf("writing what was read from the flash: %w", err)
		}
		if at += n; progress != nil {
			progress(at)
		}
	}
	const step = "verifying what was read from the flash"
	sum, err := d.steadyDigest(ctx, step, span{int64(offset), int64(offset) + int64(size)})
	if err != nil {
		return err
	}
	if sum != [md5.Size]byte(h.Sum(nil)) {
		return &Error{Kind: KindVerify, Msg: "what was read is not what the flash holds", Hint: "read again at a lower baud rate"}
	}
	return nil
}
