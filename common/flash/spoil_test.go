package flash_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// spoiler is a bad line: it drops, doubles, corrupts, stalls and splits the bytes of both
// directions. Each fault has a probability for a byte.
type spoiler struct {
	*simulator.Port
	mu sync.Mutex
	r  *rand.Rand

	drop, double, corrupt, stall float64
	split                        bool
	pause                        time.Duration
	hurt                         int // bytes
}

// pass returns the bytes after the line, and their delay.
func (p *spoiler) pass(b []byte) (out []byte, late time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range b {
		switch x := p.r.Float64(); {
		case x < p.drop:
			p.hurt++
			continue
		case x < p.drop+p.double:
			p.hurt++
			out = append(out, c)
		case x < p.drop+p.double+p.corrupt:
			p.hurt++
			c ^= 1 << p.r.IntN(8)
		case x < p.drop+p.double+p.corrupt+p.stall:
			p.hurt++
			late += p.pause
		}
		out = append(out, c)
	}
	return out, late
}

func (p *spoiler) Write(b []byte) (int, error) {
	out, late := p.pass(b)
	time.Sleep(late)
	for len(out) > 0 {
		n := len(out)
		if p.split {
			n = min(n, 1+p.r.IntN(64))
		}
		if _, err := p.Port.Write(out[:n]); err != nil {
			return 0, err
		}
		out = out[n:]
	}
	return len(b), nil
}

func (p *spoiler) Read(b []byte) (int, error) {
	n, err := p.Port.Read(b[:max(1, len(b)/2)]) // room for doubled bytes
	out, late := p.pass(b[:n])
	if n > 0 {
		time.Sleep(late)
	}
	return copy(b, out), err
}

// small is a map of two images that take few bytes beside their commands.
func small(r *rand.Rand, chip string) (*flashmap.Map, fstest.MapFS) {
	files := fstest.MapFS{"a.bin": {Data: codeLike(200 + r.IntN(3000))}, "b.bin": {Data: codeLike(300 + r.IntN(40_000))}}
	return &flashmap.Map{Chip: chip, Images: []flashmap.Image{
		{Name: "a", Offset: 0x9000, Path: "a.bin"}, {Name: "b", Offset: 0x20000, Path: "b.bin"},
	}}, files
}

// runs returns how often a randomized test runs: SPOIL_RUNS, or a few times.
func runs(few int) int {
	if n, err := strconv.Atoi(os.Getenv("SPOIL_RUNS")); err == nil && n > 0 {
		return n
	}
	return few
}

// TestBadLines flashes over lines with all kinds of faults, most of them far worse than a
// cable. After a success the flash is right inside and outside the images, and each flash
// ends in bounded time. SPOIL_RUNS=2000 is the long version.
func TestBadLines(t *testing.T) {
	kinds := []string{"drop", "double", "corrupt", "stall", "split", "all"}
	good := map[string]int{}
	n := runs(60)
	for run := range n {
		kind := kinds[run%len(kinds)]
		r := rand.New(rand.NewPCG(uint64(run), 99))
		chip := bothChips[r.IntN(2)]
		rate := []float64{1e-5, 1e-4, 5e-4, 2e-3}[r.IntN(4)]
		synctest.Test(t, func(t *testing.T) {
			before := noisyFlash([]int{256 << 10, 1 << 20, 2 << 20}[r.IntN(3)])
			b := newBoard(t, simulator.Config{Chip: chip, Flash: before, FlashSize: len(before)})
			p := &spoiler{Port: b.port, r: r, pause: time.Duration(r.IntN(5000)) * time.Millisecond}
			m, files := small(r, chip)
			d, err := flash.Connect(t.Context(), p, flash.Options{Baud: 460800})
			if err != nil {
				t.Fatal(err)
			}
			p.mu.Lock() // the line turns bad
			switch kind {
			case "drop":
				p.drop = rate
			case "double":
				p.double = rate
			case "corrupt":
				p.corrupt = rate
			case "stall":
				p.stall = rate
			case "split":
				p.split = true
			case "all":
				p.drop, p.double, p.corrupt, p.stall, p.split = rate/4, rate/4, rate/4, rate/4, true
			}
			p.mu.Unlock()
			began := time.Now()
			_, err = d.WriteMap(t.Context(), m, files, flash.WriteOptions{})
			took := time.Since(began)
			if errClose := d.Close(); errClose != nil {
				t.Error(errClose)
			}
			var known *flash.Error
			switch {
			case err == nil:
				good[kind]++
				if lost := differences(b.chip.Flash(), expected(before, m, files)); len(lost) > 0 {
					t.Errorf("run %d (%s, %s, %g): success, but sectors %#x are not as they should be", run, chip, kind, rate, lost)
				}
			case !errors.As(err, &known):
				t.Errorf("run %d: not an error of this package: %v", run, err)
			case kind == "split":
				t.Errorf("run %d: %v", run, err)
			}
			if took > 20*time.Minute {
				t.Errorf("run %d (%s, %g): it took %s of the chip's time", run, kind, rate, took)
			}
		})
	}
	t.Logf("successes of %d runs each: %v", n/len(kinds), good)
}

// TestMildlyBadLine corrupts one byte in 100 000, in either direction: nearly every flash
// of 512 KiB succeeds.
func TestMildlyBadLine(t *testing.T) {
	const size = 512 << 10
	n, good := runs(6), 0
	for run := range n {
		synctest.Test(t, func(t *testing.T) {
			chip := bothChips[run%2]
			before := noisyFlash(4 << 20)
			b := newBoard(t, simulator.Config{Chip: chip, Flash: before})
			p := &spoiler{Port: b.port, r: rand.New(rand.NewPCG(uint64(run), 5)), corrupt: 1e-5}
			m := &flashmap.Map{Chip: chip, Images: []flashmap.Image{{Name: "app", Offset: 0x10000, Path: "app.bin"}}}
			files := fstest.MapFS{"app.bin": {Data: incompressible(size)}}
			d, err := flash.Connect(t.Context(), p, flash.Options{Baud: 460800})
			if err == nil {
				_, err = d.WriteMap(t.Context(), m, files, flash.WriteOptions{})
				err = errors.Join(err, d.Close())
			}
			if err != nil {
				t.Logf("run %d, %d bytes hurt: %v", run, p.hurt, err)
				return
			}
			good++
			if lost := differences(b.chip.Flash(), expected(before, m, files)); len(lost) > 0 {
				t.Errorf("run %d: success, but sectors %#x are not as they should be", run, lost)
			}
		})
	}
	t.Logf("%d of %d succeeded", good, n)
	if good*100 < n*95 && good < n-1 {
		t.Errorf("%d of %d succeeded", good, n)
	}
}

func incompressible(n int) []byte {
	r := rand.New(rand.NewPCG(3, uint64(n)))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%016x", r.Uint64())
	}
	out := b.Bytes()[:n]
	for i := range out {
		out[i] ^= byte(r.Uint32())
	}
	return out
}
