package flash

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
)

// digest asks the chip for the MD5 of a part of its flash.
func (d *Device) digest(ctx context.Context, step string, offset uint32, size int) (sum [md5.Size]byte, err error) {
	err = d.repeat(ctx, step, func() error {
		_, data, err := d.exchange(ctx, step, request{op: opFlashMD5, data: words(offset, uint32(size), 0, 0)},
			scaled(size, digestMiB), 2*md5.Size)
		if err != nil {
			return err
		}
		if _, err := hex.Decode(sum[:], data); err != nil {
			d.spoiled, d.noisy = d.spoiled+1, true
			return &Error{Kind: KindGarbled, Step: step, Msg: "the chip's answer is damaged", Err: err, Hint: hintSilent}
		}
		return nil
	})
	return sum, err
}

// verify compares the flash with a region. It requests a digest that differs again, as
// the answer has no checksum.
func (d *Device) verify(ctx context.Context, r region) error {
	step := "verifying " + r.name
	sum, err := d.digest(ctx, step, r.offset, len(r.data))
	if err == nil && sum != r.md5 {
		sum, err = d.steadyDigest(ctx, step, span{int64(r.offset), int64(r.offset) + int64(len(r.data))})
	}
	if err != nil {
		return err
	}
	if sum != r.md5 {
		return &Error{Kind: KindVerify,
			Msg:  fmt.Sprintf("the flash does not hold %s: its MD5 is %x, not %x", r.name, sum, r.md5),
			Hint: "flash again, at a lower baud rate if it was just written; if it happens again, the board's flash is worn out or broken"}
	}
	return nil
}
