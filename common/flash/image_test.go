package flash

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/flash/chips"
)

// tiny is an image of one segment of four bytes, put together by hand.
func tiny(hashed bool) []byte {
	b := make([]byte, 48)
	b[0], b[1], b[2], b[3], b[12] = 0xE9, 1, 2, 0x10, 5
	b[28] = 4
	copy(b[32:], []byte{1, 2, 4, 8})
	b[47] = 0xEF ^ 1 ^ 2 ^ 4 ^ 8
	if hashed {
		b[23] = 1
		sum := sha256.Sum256(b)
		b = append(b, sum[:]...)
	}
	return b
}

func TestParseImage(t *testing.T) {
	for _, hashed := range []bool{false, true} {
		im, err := parseImage(append(tiny(hashed), "a signature"...))
		if err != nil || im.chip != 5 || (im.hash == 48) != hashed {
			t.Errorf("hashed %t: %+v, %v", hashed, im, err)
		}
	}
	b := tiny(false)
	b[14] = 3
	if im, _ := parseImage(b); im.minRev != 300 {
		t.Errorf("old revision field: %d", im.minRev)
	}
	binary.LittleEndian.PutUint16(b[15:], 4)
	if im, _ := parseImage(b); im.minRev != 4 {
		t.Errorf("new revision field: %d", im.minRev)
	}
}

func TestParseImageRefuses(t *testing.T) {
	for _, direct := range [][]byte{nil, {0}, {0x1D, 0x04, 0xDB, 0xAE}} {
		if _, err := parseImage(direct); !errors.Is(err, errNoImage) {
			t.Errorf("%x: %v", direct, err)
		}
	}
	whole := tiny(true)
	for n := 1; n < len(whole); n++ {
		if _, err := parseImage(whole[:n]); err == nil {
			t.Errorf("accepted when cut to %d of %d bytes", n, len(whole))
		}
	}
	for at := range whole {
		b := bytes.Clone(whole)
		b[at] ^= 0x10
		if _, err := parseImage(b); err == nil && at != imageHashAt {
			t.Errorf("accepted with byte %d changed", at)
		}
	}
	b := tiny(false)
	binary.LittleEndian.PutUint32(b[28:], 0xFFFFFFF0)
	if _, err := parseImage(b); err == nil || !strings.Contains(err.Error(), "segment 1 of 1") {
		t.Errorf("a segment of nearly 4 GiB: %v", err)
	}
}

func FuzzParseImage(f *testing.F) {
	f.Add(tiny(false))
	f.Add(tiny(true))
	f.Fuzz(func(t *testing.T, b []byte) {
		im, err := parseImage(b)
		if err == nil && im.hash != 0 && im.hash+sha256.Size > len(b) {
			t.Fatal("the SHA-256 lies beyond the image")
		}
	})
}

func TestPatch(t *testing.T) {
	chip, _ := chips.ByName("esp32c3")
	const has2MB40m = 0x10
	for _, tc := range []struct {
		name     string
		s        settings
		hashed   bool
		detected int64
		mode, sf byte
		note     string
		fails    string
	}{
		{name: "nothing given", mode: 2, sf: has2MB40m},
		{name: "keep", s: settings{"keep", "keep", "keep"}, mode: 2, sf: has2MB40m},
		{name: "all", s: settings{"qio", "80m", "4MB"}, mode: 0, sf: 0x2F},
		{name: "size only", s: settings{size: "16MB"}, mode: 2, sf: 0x40},
		{name: "detected", s: settings{size: "detect"}, detected: 8 << 20, mode: 2, sf: 0x30},
		{name: "not detected", s: settings{size: "detect"}, mode: 2, sf: has2MB40m, note: "does not report its size"},
		{name: "hashed and the same", s: settings{"dio", "40m", "2MB"}, hashed: true, mode: 2, sf: has2MB40m},
		{name: "hashed again", s: settings{size: "4MB"}, hashed: true, mode: 2, sf: 0x20},
		{name: "odd frequency", s: settings{freq: "120m"}, fails: `"120m" is not a flash frequency of the esp32c3`},
		{name: "odd size", s: settings{size: "3MB"}, fails: `"3MB" is not a flash size`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := tiny(tc.hashed)
			im, err := parseImage(b)
			if err != nil {
				t.Fatal(err)
			}
			note, err := patch(b, im, chip, tc.s, tc.detected)
			if tc.fails != "" {
				if !IsKind(err, KindFirmware) || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || !strings.Contains(note, tc.note) || (note == "") != (tc.note == "") {
				t.Errorf("note %q, %v", note, err)
			}
			if b[2] != tc.mode || b[3] != tc.sf {
				t.Errorf("header has %#x %#x", b[2], b[3])
			}
			if _, err := parseImage(b); err != nil {
				t.Errorf("the image does not hold together any more: %v", err)
			}
		})
	}
}

func TestFlashSize(t *testing.T) {
	for id, want := range map[uint32]int64{0x1640C8: 4 << 20, 0x1840EF: 16 << 20, 0x1440EF: 1 << 20, 0x12: 0, 0x364020: 4 << 20, 0x2160C8: 128 << 20, 0xFFFFFF: 0} {
		if got := flashSize(id); got != want {
			t.Errorf("id 0x%06x: %d, want %d", id, got, want)
		}
	}
}

// TestPiecesAreSentAsROMsTakeThem checks the form in which pieces are sent.
func TestPiecesAreSentAsROMsTakeThem(t *testing.T) {
	random := make([]byte, pieceSize)
	for i := range random {
		random[i] = byte(rand.N(256))
	}
	for _, tc := range []struct {
		name         string
		data         []byte
		plain, exact bool
		deflated     bool
	}{
		{"a window", make([]byte, pieceSize), false, false, true},
		{"a window, for an exact ROM", make([]byte, pieceSize), false, true, true},
		{"less than a window", make([]byte, pieceSize-4), false, false, false},
		{"less than a window, for an exact ROM", make([]byte, pieceSize-4), false, true, true},
		{"incompressible data", random, false, true, false},
		{"plain", make([]byte, pieceSize), true, true, false},
	} {
		tr, err := newTransfer(piece{0, tc.data}, tc.plain, tc.exact)
		if err != nil || tr.deflated() != tc.deflated {
			t.Errorf("%s: deflated is %t, %v", tc.name, tr.deflated(), err)
		}
		if !tr.deflated() {
			if tr.announced != len(tr.blocks) || tr.bytes() != roundUp(len(tc.data), blockSize) {
				t.Errorf("%s: %d blocks announced for %d", tc.name, tr.announced, len(tr.blocks))
			}
			continue
		}
		r, err := zlib.NewReader(bytes.NewReader(bytes.Join(tr.blocks, nil)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		ended := err == nil
		if !bytes.Equal(got, tc.data) || ended == (len(tc.data) == pieceSize) {
			t.Errorf("%s: %d bytes, the stream ended: %t", tc.name, len(got), ended)
		}
		if more := tr.announced - len(tr.blocks); more == 1 != !ended {
			t.Errorf("%s: %d blocks more are announced", tc.name, more)
		}
	}
}
