package flash

import (
	"context"
	"fmt"
	"slices"
)

// maxRepairs bounds the repairs of a region. Each writes the pieces that differ again.
const maxRepairs = 3

// regionWriter writes the sectors of one region that differ.
type regionWriter struct {
	*Device
	region region
	o      WriteOptions
	p      Progress

	rr     RegionResult
	erased bool // Erase was reported
	// fresh counts the latest pieces in a row of which the flash held no sector. After a
	// few of them, comparing sectors costs more than it saves.
	fresh int
}

const freshPieces = 3

func (w *regionWriter) report(phase Phase, written int) {
	if w.o.Progress != nil {
		w.p.Phase, w.p.Written = phase, max(w.p.Written, written)
		w.o.Progress(w.p)
	}
}

func (w *regionWriter) write(ctx context.Context) (RegionResult, error) {
	r := w.region
	w.rr = r.result()
	if !w.o.Rewrite {
		w.report(Check, 0)
		sum, err := w.digest(ctx, "comparing the flash with "+r.name, r.offset, len(r.data))
		if err != nil {
			return w.rr, err
		}
		if sum == r.md5 {
			w.rr.Skipped, w.p.Skipped = true, true
			w.report(Done, len(r.data))
			return w.rr, nil
		}
	}
	for _, p := range cut(r.offset, r.data) {
		if err := w.writeChanged(ctx, p); err != nil {
			return w.rr, err
		}
	}
	w.report(Verify, len(r.data))
	if err := w.verifyAndRepair(ctx); err != nil {
		return w.rr, err
	}
	w.report(Done, len(r.data))
	return w.rr, nil
}

// writeChanged writes the runs of sectors of a piece that differ.
func (w *regionWriter) writeChanged(ctx context.Context, p piece) error {
	runs := []piece{p}
	if !w.o.Rewrite {
		var err error
		if runs, err = w.differing(ctx, p); err != nil {
			return err
		}
	}
	for _, run := range runs {
		if err := w.writeRun(ctx, run); err != nil {
			return err
		}
	}
	w.report(Write, int(p.offset-w.region.offset)+len(p.data))
	return nil
}

func (w *regionWriter) writeRun(ctx context.Context, run piece) error {
	if !w.erased {
		w.erased = true
		w.report(Erase, 0)
	}
	at := int(run.offset - w.region.offset)
	sent, err := w.writePiece(ctx, w.region.name, run, w.o.Plain, func(n int) { w.report(Write, at+n) })
	w.rr.Sent += sent
	return err
}

// differing returns the runs of sectors of a piece that the flash does not hold.
func (w *regionWriter) differing(ctx context.Context, p piece) ([]piece, error) {
	same, err := w.holds(ctx, p)
	if err != nil || same {
		w.fresh = 0
		return nil, err
	}
	if w.fresh >= freshPieces {
		return []piece{p}, nil
	}
	var runs []piece
	kept := 0
	for _, s := range p.sectors() {
		same, err := w.holds(ctx, s)
		if err != nil {
			return nil, err
		}
		if same {
			kept++
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].offset+uint32(len(runs[n-1].data)) == s.offset {
			runs[n-1].data = append(slices.Clip(runs[n-1].data), s.data...)
		} else {
			runs = append(runs, s)
		}
	}
	w.fresh++
	if kept > 0 {
		w.fresh = 0
	}
	return runs, nil
}

// holds reports whether the flash holds a piece.
func (w *regionWriter) holds(ctx context.Context, p piece) (bool, error) {
	sum, err := w.digest(ctx, "comparing the flash with a part of "+w.region.name, p.offset, len(p.data))
	return sum == p.sum(), err
}

// verifyAndRepair compares the region, and writes pieces that differ again.
func (w *regionWriter) verifyAndRepair(ctx context.Context) error {
	for try := 0; ; try++ {
		err := w.verify(ctx, w.region)
		if err == nil || !IsKind(err, KindVerify) || try == maxRepairs {
			return err
		}
		w.log.Warn("writing the pieces that differ again", "after", err)
		w.spoiled, w.noisy = w.spoiled+1, true
		if err := w.settle(ctx); err != nil {
			return stopped(ctx, err, "verifying "+w.region.name)
		}
		if err := w.setParams(ctx); err != nil {
			return err
		}
		for _, p := range cut(w.region.offset, w.region.data) {
			if err := w.repair(ctx, p); err != nil {
				return err
			}
		}
	}
}

// repair rewrites a piece that the flash does not hold. If the flash holds no sector of
// the piece, the erase may have hit another place.
func (w *regionWriter) repair(ctx context.Context, p piece) error {
	same, err := w.holds(ctx, p)
	if err != nil || same {
		return err
	}
	hit := false
	for _, s := range p.sectors() {
		same, err := w.holds(ctx, s)
		if err != nil {
			return err
		}
		hit = hit || same
	}
	if !hit {
		w.doubt = fmt.Errorf("the flash at 0x%x held no sector of the piece written there", p.offset)
	}
	return w.writeRun(ctx, p)
}
