package flash

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/farforge/farforge/common/flashmap"
)

// WriteOptions say how to write. The zero value is the careful and fast way.
type WriteOptions struct {
	// Force also writes images that are damaged or for another chip.
	Force bool
	// Plain sends images as they are, not deflated.
	Plain bool
	// Rewrite also writes what the flash holds already.
	Rewrite bool
	// Rehash lets the flash settings change a bootloader that carries a SHA-256,
	// which is then made anew. Otherwise such a bootloader stays as it is.
	Rehash bool
	// Progress, if not nil, is called at each change.
	Progress func(Progress)
}

// WriteMap writes the images of the map, whose paths are looked up in files,
// and compares each by MD5. Nothing is written if any of them does not fit the
// board. An error in the middle leaves the flash with some regions written; the
// result says which, also then.
func (d *Device) WriteMap(ctx context.Context, m *flashmap.Map, files fs.FS, o WriteOptions) (Result, error) {
	start := time.Now()
	if err := d.writable(); err != nil {
		return Result{}, err
	}
	regions, err := plan(m, files, d.chip, d.info, o)
	if err != nil {
		return Result{}, err
	}
	if err := d.setParams(ctx); err != nil {
		return Result{}, err
	}
	var res Result
	for i, r := range regions {
		p := Progress{Region: r.name, Index: i, Count: len(regions), Offset: r.offset, Total: len(r.data)}
		rr, err := d.writeRegion(ctx, r, o, p)
		if err != nil {
			res.Took = time.Since(start)
			return res, unfinished(ctx, err)
		}
		res.Regions = append(res.Regions, rr)
	}
	res.Took = time.Since(start)
	return res, nil
}

func (d *Device) writeRegion(ctx context.Context, r region, o WriteOptions, p Progress) (RegionResult, error) {
	report := func(phase Phase, written int) {
		if o.Progress != nil {
			p.Phase, p.Written = phase, written
			o.Progress(p)
		}
	}
	rr := r.result()
	if !o.Rewrite {
		report(Check, 0)
		sum, err := d.digest(ctx, "looking whether the flash holds "+r.name+" already", r.offset, len(r.data))
		if err != nil {
			return rr, err
		}
		if sum == r.md5 {
			rr.Skipped, p.Skipped = true, true
			report(Done, len(r.data))
			return rr, nil
		}
	}
	t, err := newTransfer(r, o.Plain)
	if err != nil {
		return rr, err
	}
	rr.Sent = t.bytes()
	if err := d.repeat(ctx, "writing "+r.name, func() error { return d.write(ctx, r, t, report) }); err != nil {
		return rr, err
	}
	report(Verify, len(r.data))
	if err := d.verify(ctx, r); err != nil {
		return rr, err
	}
	report(Done, len(r.data))
	return rr, nil
}

// writable refuses chips on which plain firmware would not run, or worse.
func (d *Device) writable() error {
	var what []string
	s := d.info.Security
	if s.SecureBoot {
		what = append(what, "secure boot is on, so it runs only firmware with the right signature")
	}
	if s.SecureDownload {
		what = append(what, "secure download mode is on, so what is written cannot be verified")
	}
	if s.FlashEncryption {
		what = append(what, "flash encryption is on, so it cannot read firmware that is not encrypted")
	}
	if len(what) > 0 {
		return &Error{Kind: KindSecurity, Msg: "nothing was written to the board: " + strings.Join(what, "; "),
			Hint: "use a board without it, or the update method of the firmware that locked it"}
	}
	return missingFlash(d.info.FlashID)
}

// setParams tells the ROM the geometry of the flash. All parts have the same
// but for the size.
func (d *Device) setParams(ctx context.Context) error {
	size := d.info.FlashSize
	if size == 0 || size > maxFlash {
		size = maxFlash
	}
	const block, sector, page, statusMask = 64 << 10, 4 << 10, 256, 0xFFFF
	_, _, err := d.ask(ctx, "setting the flash's parameters",
		request{op: opSPISetParams, data: words(0, uint32(size), block, sector, page, statusMask)}, answerTimeout, 0)
	return err
}

// unfinished says what state a cancelled flash leaves the board in.
func unfinished(ctx context.Context, err error) error {
	if ctx.Err() != nil && !IsKind(err, KindVerify) {
		return fmt.Errorf("%w; the board has no complete firmware until it is flashed again", err)
	}
	return err
}
