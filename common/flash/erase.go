package flash

import (
	"context"
	"fmt"
)

// eraseSize bounds one erase command, so that a cancel takes effect soon.
const eraseSize = 256 << 10

// Erase erases whole sectors of the flash. It proves that they are blank and that the
// flash around them did not change. Size zero means
// everything from the offset on. progress, if not nil, gets the number of bytes so far.
func (d *Device) Erase(ctx context.Context, offset uint32, size int64, progress func(int64)) error {
	s, err := d.bounds(offset, size)
	if err != nil {
		return err
	}
	if s.start%sectorSize != 0 || s.end%sectorSize != 0 {
		return &Error{Kind: KindOption, Msg: fmt.Sprintf("0x%x to 0x%x does not consist of whole sectors", s.start, s.end-1),
			Hint: fmt.Sprintf("use multiples of 0x%x", sectorSize)}
	}
	if err := d.writable(); err != nil {
		return err
	}
	if err := d.setParams(ctx); err != nil {
		return err
	}
	// watch takes regions, so the erased part is described as one.
	gone := region{name: fmt.Sprintf("the flash at 0x%x", s.start), offset: offset, data: make([]byte, s.size())}
	g, err := d.watch(ctx, []region{gone}, false)
	if err != nil {
		return err
	}
	for _, p := range s.parts(eraseSize) {
		if err := d.erasePart(ctx, p); err != nil {
			return unfinished(ctx, err)
		}
		if progress != nil {
			progress(p.end - s.start)
		}
	}
	return d.prove(ctx, g, nil)
}

// erasePart erases a part unless it is blank. It repeats the erase after disturbances of
// the line.
func (d *Device) erasePart(ctx context.Context, p span) error {
	step := fmt.Sprintf("erasing the flash at 0x%x", p.start)
	for try := 1; ; try++ {
		sum, err := d.digest(ctx, step, uint32(p.start), int(p.size()))
		if err != nil || sum == blankSum(p.size()) {
			return err
		}
		if try > pieceTries {
			return &Error{Kind: KindVerify, Msg: fmt.Sprintf("the flash at 0x%x is not blank after it was erased", p.start),
				Hint: "erase again at a lower baud rate; if it happens again, the board's flash is worn out or broken"}
		}
		err = d.begin(ctx, step, opFlashBegin, int(p.size()), 0, uint32(p.start))
		switch {
		case err != nil && !passing(err):
			return err
		case err != nil:
			if settleErr := d.settle(ctx); settleErr != nil {
				return stopped(ctx, err, step)
			}
		}
	}
}

// bounds checks a part of the flash; size zero means up to the end.
func (d *Device) bounds(offset uint32, size int64) (span, error) {
	total := d.info.FlashSize
	if total == 0 || total > maxFlash {
		if size == 0 {
			return span{}, &Error{Kind: KindOption, Msg: "the size of the board's flash is not known, or more than its ROM reaches", Hint: "give a size"}
		}
		total = maxFlash
	}
	if size == 0 {
		size = total - int64(offset)
	}
	s := span{int64(offset), int64(offset) + size}
	if size <= 0 || s.end > total {
		return s, &Error{Kind: KindOption, Msg: fmt.Sprintf("0x%x to 0x%x is not inside the board's flash of %s", s.start, s.end-1, mib(total)),
			Hint: "correct the offset or the size"}
	}
	return s, nil
}

// parts cuts a span at multiples of size.
func (s span) parts(size int64) []span {
	var out []span
	for at := s.start; at < s.end; {
		end := min(s.end, (at/size+1)*size)
		out = append(out, span{at, end})
		at = end
	}
	return out
}
