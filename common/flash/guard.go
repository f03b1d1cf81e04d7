package flash

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"slices"
	"strings"
)

// The guard proves that a flash changed nothing beside the images. The ROM's BEGIN
// has no checksum: one whose size or offset was spoiled on the line erases more or
// elsewhere, and succeeds. So digests of what surrounds the images are taken before
// the first byte is written and compared after the last.
//
//	 …│ 64 KiB │ image, whole sectors │ 64 KiB, and on to what is not blank │…
//	   guarded         written                       guarded
//
// A spoiled size erases a range behind its image, so the guard there goes on up to the
// first part that is not blank. A spoiled offset leaves its piece unwritten, and the
// digest of the image differs; WriteMap then fails unless the guard covers everything
// else.

const (
	guardReach = 64 << 10  // on each side of an image
	guardPart  = 16 << 10  // for one digest near the images
	guardLarge = 64 << 10  // for one digest elsewhere
	guardSmall = 512 << 10 // up to this size everything is guarded
	guardBlank = 1 << 20   // the longest blank part behind an image that is searched
)

// span is a range of addresses, end excluded.
type span struct{ start, end int64 }

func (s span) size() int64 { return s.end - s.start }

// guarded is a span and the digest that it had before the write.
type guarded struct {
	span
	sum [md5.Size]byte
}

// guard holds the digests of everything but the images, or of the flash near them.
type guard struct {
	parts      []guarded
	everything bool
}

// occupied returns the sectors of the regions, in order of addresses.
func occupied(regions []region) []span {
	var out []span
	for _, r := range regions {
		out = append(out, span{int64(r.offset), int64(roundUp(int(r.offset)+len(r.data), sectorSize))})
	}
	return out
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// free returns the parts of the flash outside the spans.
func free(taken []span, size int64) []span {
	var out []span
	at := int64(0)
	for _, s := range append(slices.Clone(taken), span{size, size}) {
		if s.start > at {
			out = append(out, span{at, s.start})
		}
		at = max(at, s.end)
	}
	return out
}

// near reports whether a part touches the reach of an image or the usual place of
// the partition table.
func near(p span, taken []span) bool {
	for _, t := range taken {
		if p.start < t.end+guardReach && p.end > t.start-guardReach {
			return true
		}
	}
	return p.start < tableOffset+sectorSize && p.end > tableOffset
}

// watch takes the digests of the parts that must not change.
func (d *Device) watch(ctx context.Context, regions []region, all bool) (guard, error) {
	taken := occupied(regions)
	size := min(d.info.FlashSize, maxFlash)
	if size == 0 {
		size = taken[len(taken)-1].end // beyond its end a flash repeats its beginning
	}
	gaps := free(taken, size)
	total := int64(0)
	for _, g := range gaps {
		total += g.size()
	}
	g := guard{everything: all || d.noisy || total <= guardSmall}
	for _, gap := range gaps {
		if err := d.watchGap(ctx, &g, gap, taken); err != nil {
			return g, err
		}
	}
	return g, nil
}

// watchGap takes the digests of a gap between images.
func (d *Device) watchGap(ctx context.Context, g *guard, gap span, taken []span) error {
	// blank reports whether the gap is blank so far, from the end of an image on.
	blank := slices.ContainsFunc(taken, func(t span) bool { return t.end == gap.start })
	for p := (span{gap.start, gap.start}); p.end < gap.end; {
		p.start = p.end
		p.end = min(gap.end, (p.start/guardPart+1)*guardPart)
		close := near(p, taken)
		if g.everything || !close {
			p.end = min(gap.end, (p.start/guardLarge+1)*guardLarge)
		}
		if !g.everything && !close && (!blank || p.start-gap.start > guardBlank) {
			continue
		}
		step := fmt.Sprintf("reading the digest of the flash at 0x%x", p.start)
		sum, err := d.digest(ctx, step, uint32(p.start), int(p.size()))
		isBlank := sum == blankSum(p.size())
		if err == nil && !isBlank {
			sum, err = d.steadyDigest(ctx, step, p)
		}
		if err != nil {
			return err
		}
		blank = blank && isBlank
		if g.everything || close || !isBlank {
			g.parts = append(g.parts, guarded{p, sum})
		}
	}
	return nil
}

// steadyDigest repeats a digest until two answers agree.
func (d *Device) steadyDigest(ctx context.Context, step string, s span) ([md5.Size]byte, error) {
	return agree(ctx, d, step, func() ([md5.Size]byte, error) {
		return d.digest(ctx, step, uint32(s.start), int(s.size()))
	})
}

// blankSum is the digest of erased flash.
func blankSum(n int64) [md5.Size]byte { return md5.Sum(bytes.Repeat([]byte{0xFF}, int(n))) }

// changed returns the guarded parts whose digests differ now.
func (d *Device) changed(ctx context.Context, g guard) ([]span, error) {
	var out []span
	for _, p := range g.parts {
		step := fmt.Sprintf("proving that the flash at 0x%x did not change", p.start)
		sum, err := d.digest(ctx, step, uint32(p.start), int(p.size()))
		if err == nil && sum != p.sum {
			sum, err = d.steadyDigest(ctx, step, p.span)
		}
		if err != nil {
			return nil, err
		}
		if sum == p.sum {
			continue
		}
		if n := len(out); n > 0 && out[n-1].end == p.start {
			out[n-1].end = p.end
		} else {
			out = append(out, p.span)
		}
	}
	return out, nil
}

// prove compares everything at the end: all regions again, as the erase of a later
// one may have hit an earlier one, and the guarded parts.
func (d *Device) prove(ctx context.Context, g guard, regions []region) error {
	for _, r := range regions {
		if err := d.verify(ctx, r); err != nil {
			return err
		}
	}
	lost, err := d.changed(ctx, g)
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		return &Error{Kind: KindVerify, Err: d.doubt,
			Msg:  "flash beside the images was changed: " + d.describeLost(ctx, lost, regions),
			Hint: "flash the lost data again, with a better cable or a lower baud rate"}
	}
	if d.doubt != nil && !g.everything {
		return &Error{Kind: KindVerify, Err: d.doubt,
			Msg:  "the images are in flash, but the line disturbed a command that erases, so flash far from them may be lost",
			Hint: "flash everything that the board needs again, with a better cable or a lower baud rate"}
	}
	return nil
}

// describeLost names spans by their addresses and partitions.
func (d *Device) describeLost(ctx context.Context, lost []span, regions []region) string {
	table := d.partitions(ctx, regions)
	var out []string
	for _, l := range lost {
		text := fmt.Sprintf("0x%x to 0x%x", l.start, l.end-1)
		var names []string
		for _, p := range table {
			if p.start < l.end && p.end > l.start {
				names = append(names, p.name)
			}
		}
		if len(names) > 0 {
			text += fmt.Sprintf(" (%s)", strings.Join(names, ", "))
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}
