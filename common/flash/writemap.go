package flash

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/farforge/farforge/common/flashmap"
)

// WriteOptions are the options of a write. The zero value suits most boards.
type WriteOptions struct {
	// Force also writes images that are damaged or for another chip.
	Force bool
	// Plain sends images without compression.
	Plain bool
	// Rewrite also writes sectors that the flash already holds.
	Rewrite bool
	// Mode, Freq and Size override the map's flash settings: "keep" leaves the
	// bootloader's header unchanged, and "detect", for Size, selects the board's size.
	Mode, Freq, Size string
	// ProveAll takes digests of everything that is not written, not only of what
	// surrounds the images. It takes about two seconds for each MiB of flash.
	ProveAll bool
	// Progress, if not nil, is called at each change.
	Progress func(Progress)
}

// WriteMap writes the images of the map, whose paths are looked up in files, compares
// each by MD5, and proves that nothing beside them changed. Nothing is written if any of
// them does not fit the board. An error in the middle leaves the flash with some regions
// written; the result lists them even then.
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
	g, err := d.watch(ctx, regions, o.ProveAll)
	if err != nil {
		return res, err
	}
	for i, r := range regions {
		w := &regionWriter{Device: d, region: r, o: o,
			p: Progress{Region: r.name, Index: i, Count: len(regions), Offset: r.offset, Total: len(r.data)}}
		rr, err := w.write(ctx)
		if err != nil {
			res.Took = time.Since(start)
			return res, unfinished(ctx, err)
		}
		res.Regions = append(res.Regions, rr)
	}
	err = d.prove(ctx, g, regions)
	res.Took = time.Since(start)
	return res, err
}

// writable refuses chips that plain firmware does not run on, or would damage.
func (d *Device) writable() error {
	if why := d.chip.NoVerify; why != "" {
		return &Error{Kind: KindRefused, Msg: "nothing was written to the " + d.chip.Title + ": " + why + ", so the write could not be verified",
			Hint: "flash it with Espressif's esptool, which loads a stub"}
	}
	var what []string
	s := d.info.Security
	if s.SecureBoot {
		what = append(what, "secure boot is on, so it runs only firmware with the right signature")
	}
	if s.SecureDownload {
		what = append(what, "secure download mode is on, so a write cannot be verified")
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

// setParams sets the geometry of the flash in the ROM. Parts differ in their size only.
func (d *Device) setParams(ctx context.Context) error {
	size := d.info.FlashSize
	if size == 0 || size > maxFlash {
		size = maxFlash
	}
	const block, page, statusMask = 64 << 10, 256, 0xFFFF
	_, _, err := d.ask(ctx, "setting the flash's parameters",
		request{op: opSPISetParams, data: words(0, uint32(size), block, sectorSize, page, statusMask)}, answerTimeout, 0)
	d.paramsSet = d.paramsSet || err == nil
	return err
}

// unfinished adds the state of the board to the error of a canceled flash.
func unfinished(ctx context.Context, err error) error {
	if ctx.Err() != nil && !IsKind(err, KindVerify) {
		return fmt.Errorf("%w; the board has no complete firmware until it is flashed again", err)
	}
	return err
}
