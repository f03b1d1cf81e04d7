package flash

import (
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/farforge/farforge/common/flashmap"
)

// slowRead is the number of bytes that one command of the ROM reads.
const slowRead = 64

// Read copies a part of the flash to w, and compares its digest with the chip's. Size
// zero means everything from the offset on. progress, if not nil, gets the number of
// bytes so far.
func (d *Device) Read(ctx context.Context, offset uint32, size int64, w io.Writer, progress func(int64)) error {
	s, err := d.bounds(offset, size)
	if err != nil {
		return err
	}
	if err := d.readable(); err != nil {
		return err
	}
	h := md5.New()
	for at := int64(0); at < s.size(); {
		n := min(slowRead, s.size()-at)
		step := fmt.Sprintf("reading the flash at 0x%x", s.start+at)
		_, data, err := d.ask(ctx, step, request{op: opReadFlashSlow, data: words(uint32(s.start+at), slowRead)}, answerTimeout, slowRead)
		if err != nil {
			return err
		}
		h.Write(data[:n])
		if _, err := w.Write(data[:n]); err != nil {
			return fmt.Errorf("writing the data read from the flash: %w", err)
		}
		if at += n; progress != nil {
			progress(at)
		}
	}
	const step = "verifying the data read from the flash"
	sum, err := d.steadyDigest(ctx, step, s)
	if err != nil {
		return err
	}
	if sum != [md5.Size]byte(h.Sum(nil)) {
		return &Error{Kind: KindVerify, Msg: "the data read differs from the flash", Hint: "read again at a lower baud rate"}
	}
	return nil
}

// readable refuses chips whose flash cannot be read.
func (d *Device) readable() error {
	switch {
	case d.chip.NoVerify != "":
		return &Error{Kind: KindRefused, Msg: "the flash of the " + d.chip.Title + " cannot be read: " + d.chip.NoVerify,
			Hint: "read it with Espressif's esptool, which loads a stub"}
	case d.info.Security.SecureDownload:
		return &Error{Kind: KindSecurity, Msg: "the flash cannot be read: secure download mode is on", Hint: "use a board without it"}
	}
	return missingFlash(d.info.FlashID)
}

// VerifyMap compares the flash with the images of the map, whose paths are looked up in
// files, and writes nothing. The images are those that WriteMap would write, after the
// corrections of their headers.
func (d *Device) VerifyMap(ctx context.Context, m *flashmap.Map, files fs.FS, o WriteOptions) (Result, error) {
	start := time.Now()
	if err := d.readable(); err != nil {
		return Result{}, err
	}
	regions, err := plan(m, files, d.chip, d.info, o)
	if err != nil {
		return Result{}, err
	}
	var res Result
	for _, r := range regions {
		if err := d.verify(ctx, r); err != nil {
			return res, err
		}
		res.Regions = append(res.Regions, r.result())
	}
	res.Took = time.Since(start)
	return res, nil
}
