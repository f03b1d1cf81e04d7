package flash_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flash/chips"
	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// connected is a Device in a bubble.
func connected(t *testing.T, cfg simulator.Config) (*flash.Device, board) {
	t.Helper()
	b := newBoard(t, cfg)
	d, err := flash.Connect(t.Context(), b.port, flash.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, b
}

func TestErase(t *testing.T) {
	for _, chip := range bothChips {
		for _, tc := range []struct{ offset, size, end int }{
			{0x9000, 0x6000, 0xF000}, {0x100000, 0x180000, 0x280000}, {0x3FF000, 0, 4 << 20}, {0, 0, 4 << 20},
		} {
			synctest.Test(t, func(t *testing.T) {
				before := noisyFlash(4 << 20)
				d, b := connected(t, simulator.Config{Chip: chip, Flash: before})
				last := int64(0)
				if err := d.Erase(t.Context(), uint32(tc.offset), int64(tc.size), func(n int64) { last = n }); err != nil {
					t.Fatal(err)
				}
				copy(before[tc.offset:tc.end], bytes.Repeat([]byte{0xFF}, tc.end-tc.offset))
				if lost := differences(b.chip.Flash(), before); len(lost) > 0 || last != int64(tc.end-tc.offset) {
					t.Errorf("%s %#x: sectors %#x, progress %d", chip, tc.offset, lost, last)
				}
				d.Close()
			})
		}
	}
}

func TestEraseRefuses(t *testing.T) {
	for _, tc := range []struct {
		cfg    simulator.Config
		offset uint32
		size   int64
		kind   flash.Kind
		want   string
	}{
		{simulator.Config{}, 0x100, 0x1000, flash.KindOption, "whole sectors"},
		{simulator.Config{}, 0x1000, 0x800, flash.KindOption, "whole sectors"},
		{simulator.Config{}, 4 << 20, 0x1000, flash.KindOption, "not inside the board's flash of 4 MiB"},
		{simulator.Config{}, 4 << 20, 0, flash.KindOption, "not inside"},
		{simulator.Config{}, 0x1000, -4096, flash.KindOption, "not inside"},
		{simulator.Config{Misbehave: []simulator.Misbehavior{{Kind: simulator.FlashEncryption}}}, 0, 0x1000, flash.KindSecurity, "flash encryption"},
		{simulator.Config{Chip: "esp8266"}, 0, 0x1000, flash.KindRefused, "nothing was written to the ESP8266"},
	} {
		synctest.Test(t, func(t *testing.T) {
			if tc.cfg.Chip == "" {
				tc.cfg.Chip = "esp32c3"
			}
			tc.cfg.Flash = bytes.Repeat([]byte{0x5A}, 4<<20)
			d, b := connected(t, tc.cfg)
			err := d.Erase(t.Context(), tc.offset, tc.size, nil)
			if !flash.IsKind(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%#x, %#x: %v", tc.offset, tc.size, err)
			}
			if bytes.Contains(b.chip.Flash(), []byte{0xFF}) {
				t.Error("something was erased")
			}
			d.Close()
		})
	}
}

func TestRead(t *testing.T) {
	for _, chip := range bothChips {
		synctest.Test(t, func(t *testing.T) {
			contents := noisyFlash(256 << 10)
			d, _ := connected(t, simulator.Config{Chip: chip, Flash: contents, FlashSize: len(contents)})
			for _, tc := range []struct{ offset, size, end int }{{0, 1, 1}, {100, 5000, 5100}, {255 << 10, 0, 256 << 10}} {
				var got bytes.Buffer
				if err := d.Read(t.Context(), uint32(tc.offset), int64(tc.size), &got, nil); err != nil || !bytes.Equal(got.Bytes(), contents[tc.offset:tc.end]) {
					t.Errorf("%s: %d bytes at %d: %v, %d bytes or others", chip, tc.size, tc.offset, err, got.Len())
				}
			}
			if err := d.Read(t.Context(), 256<<10, 1, &bytes.Buffer{}, nil); !flash.IsKind(err, flash.KindOption) {
				t.Errorf("beyond the end: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if err := d.Read(ctx, 0, 0, &bytes.Buffer{}, func(int64) { cancel() }); err == nil {
				t.Error("a canceled read succeeded")
			}
			d.Close()
		})
	}
}

func TestVerifyMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, files := firmware("esp32", 5_000)
		d, b := connected(t, simulator.Config{Chip: "esp32"})
		if _, err := d.VerifyMap(t.Context(), m, files, flash.WriteOptions{}); !flash.IsKind(err, flash.KindVerify) {
			t.Errorf("an empty flash: %v", err)
		}
		untouched(t, b)
		if _, err := d.WriteMap(t.Context(), m, files, flash.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		if res, err := d.VerifyMap(t.Context(), m, files, flash.WriteOptions{}); err != nil || len(res.Regions) != 3 {
			t.Errorf("%+v, %v", res, err)
		}
		d.Close()
	})
}

func TestDescribeImage(t *testing.T) {
	b := makeImage("esp32c3", 400, true)
	copy(b[32:], []byte{0x32, 0x54, 0xCD, 0xAB})
	for at, text := range map[int]string{16: "1.2.3\x00junk", 48: "hello", 80: "12:34:56", 96: "Nov 28 2026", 112: "v5.4\x1b[2J"} {
		copy(b[32+at:], append([]byte(text), 0))
	}
	binary.LittleEndian.PutUint16(b[15:], 4)
	b[23] = 0 // no SHA-256
	sum := byte(0xEF)
	for _, c := range b[32:432] {
		sum ^= c
	}
	b[432|15] = sum
	got, err := flash.DescribeImage(b)
	if err != nil {
		t.Fatal(err)
	}
	if got.Chip != "esp32c3" || got.MinRev != (chips.Revision{Minor: 4}) || got.Mode != "dio" || got.Freq != "40m" || got.Size != "2 MiB" ||
		len(got.Segments) != 1 || got.Segments[0] != (flash.Segment{Address: 0x40380000, Size: 400}) || got.Length != 448 || got.Hashed {
		t.Errorf("got %+v", got)
	}
	if got.App == nil || *got.App != (flash.AppInfo{Name: "hello", Version: "1.2.3", IDF: "v5.4?[2J", Built: "Nov 28 2026 12:34:56"}) {
		t.Errorf("app %+v", got.App)
	}
	if _, err := flash.DescribeImage([]byte("text")); !flash.IsKind(err, flash.KindFirmware) {
		t.Errorf("text: %v", err)
	}
}

// FuzzDescribeImage checks that no file makes it panic.
func FuzzDescribeImage(f *testing.F) {
	f.Add(makeImage("esp32", 200, true))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := flash.DescribeImage(b); err == nil && got.Length > len(b) {
			t.Errorf("%d of %d bytes", got.Length, len(b))
		}
	})
}

func TestMerge(t *testing.T) {
	files := fstest.MapFS{"a": {Data: []byte("aaaa")}, "b": {Data: []byte("bbbbb")}, "c": {Data: make([]byte, 0x1001)}}
	m := &flashmap.Map{Images: []flashmap.Image{{Offset: 0x1000, Path: "a"}, {Offset: 0x2000, Path: "b"}}}
	want := append(append([]byte("aaaa"), bytes.Repeat([]byte{0xFF}, 0xFFC)...), "bbbbb\xff\xff\xff"...)
	if got, err := flash.Merge(m, files, 0x1000); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := flash.Merge(m, files, 0x2000); err == nil || !strings.Contains(err.Error(), "lies before 0x2000") {
		t.Errorf("got %v", err)
	}
	m.Images[0].Path = "c"
	if _, err := flash.Merge(m, files, 0); err == nil || !strings.Contains(err.Error(), "overlaps") {
		t.Errorf("got %v", err)
	}
}
