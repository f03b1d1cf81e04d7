package flash_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// board is a simulated chip and its cable.
type board struct {
	chip *simulator.Chip
	port *simulator.Port
}

func newBoard(t testing.TB, cfg simulator.Config) board {
	t.Helper()
	chip, err := simulator.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := board{chip, chip.Port()}
	t.Cleanup(func() { b.port.Close() })
	return b
}

// misbehaving parses the simulator's short form.
func misbehaving(t testing.TB, specs ...string) []simulator.Misbehavior {
	t.Helper()
	var out []simulator.Misbehavior
	for _, s := range specs {
		m, err := simulator.ParseMisbehavior(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// Of each chip: its id in image headers, where its ROM looks for the bootloader, and
// where it has RAM.
var (
	chipIDs = map[string]uint16{"esp8266": 0, "esp32": 0, "esp32s2": 2, "esp32c3": 5, "esp32s3": 9, "esp32c2": 12,
		"esp32c6": 13, "esp32h2": 16, "esp32p4": 18, "esp32c61": 20, "esp32c5": 23}
	bootAt = map[string]uint32{"esp32": 0x1000, "esp32s2": 0x1000, "esp32p4": 0x2000, "esp32c5": 0x2000}
	ramAt  = map[string]uint32{"esp32": 0x40080000, "esp32s2": 0x40020000, "esp32c3": 0x40380000, "esp32s3": 0x40370000, "esp32c2": 0x4037C000,
		"esp32c6": 0x40800000, "esp32h2": 0x40800000, "esp32p4": 0x4FF00000, "esp32c61": 0x40800000, "esp32c5": 0x40800000}
)

// makeImage builds a firmware image with one segment of the given size that
// compresses by about two thirds, as code does.
func makeImage(chip string, size int, hashed bool) []byte {
	b := make([]byte, 24, size+128)
	b[0], b[1], b[2], b[3] = 0xE9, 1, 2, 0x10 // one segment, dio, 2MB, 40m
	load := ramAt[chip]
	binary.LittleEndian.PutUint32(b[4:], load)
	binary.LittleEndian.PutUint16(b[12:], chipIDs[chip])
	if hashed {
		b[23] = 1
	}
	b = binary.LittleEndian.AppendUint32(b, load)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	data := codeLike(size)
	copy(data, []byte{0x6F, 0, 0, 0}) // RISC-V: jump to itself
	b = append(b, data...)
	sum := byte(0xEF)
	for _, c := range data {
		sum ^= c
	}
	for len(b)%16 != 15 {
		b = append(b, 0)
	}
	b = append(b, sum)
	if hashed {
		h := sha256.Sum256(b)
		b = append(b, h[:]...)
	}
	return b
}

// codeLike is the same for each size, and compresses as code does.
func codeLike(size int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(size)))
	words := make([][]byte, 64)
	for i := range words {
		words[i] = binary.LittleEndian.AppendUint32(nil, r.Uint32())
	}
	var out []byte
	for len(out) < size {
		if r.IntN(4) == 0 {
			out = binary.LittleEndian.AppendUint32(out, r.Uint32())
		} else {
			out = append(out, words[r.IntN(len(words))]...)
		}
	}
	return out[:size]
}

// firmware is a bootloader, a partition table and an app, with their map.
func firmware(chip string, appSize int) (*flashmap.Map, fstest.MapFS) {
	files := fstest.MapFS{
		"bootloader/bootloader.bin": {Data: makeImage(chip, 18000, true)},
		"partition-table.bin":       {Data: append([]byte{0xAA, 0x50, 1, 2}, bytes.Repeat([]byte{0xFF}, 3068)...)},
		"app.bin":                   {Data: makeImage(chip, appSize, true)},
	}
	return &flashmap.Map{Chip: chip, Mode: "dio", Freq: "40m", Size: "2MB", Images: []flashmap.Image{
		{Name: "bootloader", Offset: bootAt[chip], Path: "bootloader/bootloader.bin"},
		{Name: "partition-table", Offset: 0x8000, Path: "partition-table.bin"},
		{Name: "app", Offset: 0x10000, Path: "app.bin"},
	}}, files
}

// flashAll connects, writes and finishes.
func flashAll(ctx context.Context, b board, o flash.Options, m *flashmap.Map, files fs.FS, w flash.WriteOptions) (res flash.Result, tail []byte, err error) {
	d, err := flash.Connect(ctx, b.port, o)
	if err != nil {
		return res, nil, err
	}
	res, err = d.WriteMap(ctx, m, files, w)
	if err == nil {
		err = d.Finish(ctx, flash.HardReset)
	}
	err = errors.Join(err, d.Close())
	return res, d.Tail(), err
}

// wantInFlash compares what the chip holds with the files.
func wantInFlash(t *testing.T, b board, m *flashmap.Map, files fstest.MapFS) {
	t.Helper()
	got := b.chip.Flash()
	for _, im := range m.Images {
		want := files[im.Path].Data
		if !bytes.Equal(got[im.Offset:int(im.Offset)+len(want)], want) {
			t.Errorf("%s: the flash does not hold the file", im.Name)
		}
	}
}

// untouched checks that the flash is blank.
func untouched(t *testing.T, b board) {
	t.Helper()
	got := b.chip.Flash()
	if n := bytes.Count(got, []byte{0xFF}); n != len(got) {
		t.Errorf("%d bytes of the flash were written", len(got)-n)
	}
}
