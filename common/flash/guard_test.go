package flash_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/flashmap"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// noisyFlash is a flash full of data.
func noisyFlash(size int) []byte {
	r := rand.New(rand.NewPCG(7, uint64(size)))
	b := make([]byte, size)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
}

// expected is what the flash must hold: the files, erased flash up to the ends of
// their sectors, and what was there before.
func expected(before []byte, m *flashmap.Map, files fstest.MapFS) []byte {
	out := bytes.Clone(before)
	for _, im := range m.Images {
		data := files[im.Path].Data
		end := (int(im.Offset) + len(data) + 0xFFF) &^ 0xFFF
		copy(out[im.Offset:end], bytes.Repeat([]byte{0xFF}, end-int(im.Offset)))
		copy(out[im.Offset:], data)
	}
	return out
}

// differences names the sectors that differ.
func differences(got, want []byte) (sectors []int) {
	for at := 0; at < len(want); at += 0x1000 {
		if !bytes.Equal(got[at:at+0x1000], want[at:at+0x1000]) {
			sectors = append(sectors, at)
		}
	}
	return sectors
}

// tableWith is a partition table of one entry.
func tableWith(name string, offset, size uint32) []byte {
	b := bytes.Repeat([]byte{0xFF}, 0xC00)
	copy(b, []byte{0xAA, 0x50, 1, 2})
	binary.LittleEndian.PutUint32(b[4:], offset)
	binary.LittleEndian.PutUint32(b[8:], size)
	copy(b[12:28], make([]byte, 16))
	copy(b[12:28], name)
	return b
}

// TestNothingBesideTheImagesChanges flashes into a flash that is full of data. On an
// ESP32, whose ROM ends a deflated write with 32 KiB of its own, that lost data.
func TestNothingBesideTheImagesChanges(t *testing.T) {
	for _, chip := range bothChips {
		for _, size := range []int{200, 20_000, 100_000, 300_000} {
			synctest.Test(t, func(t *testing.T) {
				before := noisyFlash(4 << 20)
				b := newBoard(t, simulator.Config{Chip: chip, Flash: before})
				m, files := firmware(chip, size)
				res, _, err := flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if lost := differences(b.chip.Flash(), expected(before, m, files)); len(lost) > 0 {
					t.Errorf("%s, app of %d bytes: sectors %#x are not as they should be", chip, size, lost)
				}
				if app := res.Regions[2]; size > 64<<10 && app.Sent > app.Size*2/3 {
					t.Errorf("%d bytes were sent for %d", app.Sent, app.Size)
				}
			})
		}
	}
}

// meddler changes the frames on their way to the chip.
type meddler struct {
	*simulator.Port
	change func(frame []byte) // a request, from its direction byte on
}

func (p meddler) Write(b []byte) (int, error) {
	frame := bytes.Trim(b, "\xC0")
	frame = bytes.ReplaceAll(frame, []byte{0xDB, 0xDC}, []byte{0xC0})
	frame = bytes.ReplaceAll(frame, []byte{0xDB, 0xDD}, []byte{0xDB})
	if frame[1] != 2 && frame[1] != 0x10 || len(frame) < 24 {
		return p.Port.Write(b)
	}
	p.change(frame)
	out := bytes.ReplaceAll(frame, []byte{0xDB}, []byte{0xDB, 0xDD})
	out = bytes.ReplaceAll(out, []byte{0xC0}, []byte{0xDB, 0xDC})
	_, err := p.Port.Write(append(append([]byte{0xC0}, out...), 0xC0))
	return len(b), err
}

// TestSpoiledBeginIsNeverSilent flips a bit in one BEGIN, for which the ROM has no
// checksum: it erases more, or elsewhere, and succeeds.
func TestSpoiledBeginIsNeverSilent(t *testing.T) {
	for _, tc := range []struct {
		name string
		nth  int    // which BEGIN
		at   int    // the byte in its data: 0 to 3 are the size, 12 to 15 the offset
		flip byte   // bits
		want string // in the error; empty: the flash goes on and all is right
	}{
		{"the size, by 64 KiB", 2, 2, 0x01, "flash beside the images was changed: 0x9000 to "},
		{"the size of the last piece, by 64 KiB", 99, 2, 0x01, "flash beside the images was changed: 0x"},
		{"the size of the last piece, by 1 MiB", 99, 2, 0x10, "flash beside the images was changed: 0x"},
		{"the offset of the app, to no sector", 3, 13, 0x01, ""},
		{"the offset, to the first image", 2, 13, 0x80, ""},
		{"the offset, to the NVS partition, of the table", 2, 13, 0x10, "nvs"},
		{"the offset, far away", 2, 14, 0x20, "flash far from them may be lost"},
		{"the offset of the table, to no sector", 2, 12, 0x04, ""},
		{"the offset, beyond the flash", 2, 15, 0x01, ""},
	} {
		for _, chip := range bothChips {
			t.Run(tc.name+" "+chip, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					before := noisyFlash(4 << 20)
					b := newBoard(t, simulator.Config{Chip: chip, Flash: before})
					m, files := firmware(chip, 70_000)
					files["partition-table.bin"].Data = tableWith("nvs", 0x9000, 0x6000)
					begins, total := 0, 5
					port := meddler{b.port, func(frame []byte) {
						begins++
						if begins == tc.nth || tc.nth == 99 && begins == total {
							frame[8+tc.at] ^= tc.flip
						}
					}}
					d, err := flash.Connect(t.Context(), port, flash.Options{})
					if err != nil {
						t.Fatal(err)
					}
					_, err = d.WriteMap(t.Context(), m, files, flash.WriteOptions{})
					err = errors.Join(err, d.Close())
					if begins < total {
						t.Errorf("%d BEGINs", begins)
					}
					lost := differences(b.chip.Flash(), expected(before, m, files))
					if err == nil && len(lost) > 0 {
						t.Errorf("nothing was said, but sectors %#x are not as they should be", lost)
					}
					if err != nil && (!flash.IsKind(err, flash.KindVerify) || !strings.Contains(err.Error(), tc.want)) {
						t.Errorf("got %v, want %q", err, tc.want)
					}
					if err == nil && tc.want != "" {
						t.Errorf("no error, want %q", tc.want)
					}
				})
			})
		}
	}
}

// TestProveAll finds what is lost far from the images.
func TestProveAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := noisyFlash(4 << 20)
		b := newBoard(t, simulator.Config{Chip: "esp32c3", Flash: before})
		m, files := firmware("esp32c3", 20_000)
		begins := 0
		d, err := flash.Connect(t.Context(), meddler{b.port, func(frame []byte) {
			if begins++; begins == 2 {
				frame[8+14] ^= 0x20
			}
		}}, flash.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		_, err = d.WriteMap(t.Context(), m, files, flash.WriteOptions{ProveAll: true})
		if !flash.IsKind(err, flash.KindVerify) || !strings.Contains(err.Error(), "0x200000 to 0x20ffff") {
			t.Errorf("got %v", err)
		}
	})
}

// TestOnlyChangedSectorsAreSent changes one sector in ten.
func TestOnlyChangedSectorsAreSent(t *testing.T) {
	for _, chip := range bothChips {
		synctest.Test(t, func(t *testing.T) {
			b := newBoard(t, simulator.Config{Chip: chip})
			m, files := firmware(chip, 400_000)
			first, _, err := flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			app := files["app.bin"].Data
			for at := 0x3000; at < len(app); at += 12 << 12 {
				app[at] ^= 0x55
			}
			second, _, err := flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{Force: true})
			if err != nil {
				t.Fatal(err)
			}
			wantInFlash(t, b, m, files)
			if sent, all := second.Regions[2].Sent, first.Regions[2].Sent; sent*4 > all {
				t.Errorf("%s: %d bytes were sent for one sector in twelve, %d for all", chip, sent, all)
			}
		})
	}
}
