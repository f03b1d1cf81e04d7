package simulator

import (
	"bytes"
	"context"
	"testing"
)

// FuzzSLIP checks that the decoder returns only frames of a valid length, and decodes a
// frame after any noise that ends in a delimiter.
func FuzzSLIP(f *testing.F) {
	f.Add([]byte{slipEnd, 1, 2, slipEnd})
	f.Add([]byte{slipEnd, slipEsc, slipEscEnd, slipEsc, slipEscEsc, slipEnd})
	f.Add([]byte{1, slipEnd, slipEsc, 1, slipEnd, 2})
	f.Fuzz(func(t *testing.T, in []byte) {
		var d slipDecoder
		for _, b := range in {
			if frame, whole := d.push(b); whole && (len(frame) == 0 || len(frame) > maxFrame) {
				t.Fatalf("a frame of %d bytes", len(frame))
			}
		}
		d.push(slipEnd)
		payload := in[:min(len(in), maxFrame)]
		if len(payload) == 0 {
			return
		}
		var got []byte
		for _, b := range slipEncode(payload) {
			if frame, whole := d.push(b); whole {
				got = frame
			}
		}
		if !bytes.Equal(got, payload) {
			t.Fatalf("% x came through as % x", payload, got)
		}
	})
}

// sinkBuffer collects what a chip sends.
type sinkBuffer struct{ bytes.Buffer }

func (s *sinkBuffer) send(_ context.Context, p []byte, _ int) { s.Write(p) }
func (s *sinkBuffer) offer([]byte, int)                       {}
func (s *sinkBuffer) discard()                                {}

// FuzzCommands sends any bytes to a ROM and to a stub. The chip survives, answers in whole
// frames, and its flash keeps its size.
func FuzzCommands(f *testing.F) {
	frame := func(op Opcode, data []byte) []byte {
		return append([]byte{0, byte(op), byte(len(data)), byte(len(data) >> 8), byte(checksum(data)), 0, 0, 0}, data...)
	}
	f.Add(false, slipEncode(frame(Sync, syncData)))
	f.Add(true, slipEncode(frame(FlashDeflBegin, words(9000, 1, 0x4000, 0))))
	f.Add(false, append(slipEncode(frame(SPIAttach, words(0, 0))), slipEncode(frame(FlashBegin, words(0x400, 1, 0x400, 0, 0)))...))
	f.Add(true, append(slipEncode(frame(ReadFlash, words(0, 0x3000, 0x1000, 1))), slipEncode(words(0x1000))...))
	f.Add(false, slipEncode(frame(MemBegin, words(4, 1, 4, 0x3FC90000))))
	f.Add(true, slipEncode(frame(WriteReg, words(0x60002000, spiUser, 0xFFFFFFFF, 0))))
	f.Add(false, slipEncode(frame(FlashEnd, words(0))))
	for _, op := range []Opcode{ReadReg, SPISetParams, ChangeBaud, SPIFlashMD5, GetSecurityInfo, EraseFlash, EraseRegion, RunUserCode, ReadFlashSlow} {
		f.Add(true, slipEncode(frame(op, words(0, 1, 2, 3))))
	}
	f.Fuzz(func(t *testing.T, stub bool, in []byte) {
		const size = 256 << 10
		chip, err := New(Config{Chip: "esp32c3", Strap: Download, FlashSize: size})
		if err != nil {
			t.Fatal(err)
		}
		var out sinkBuffer
		s := &session{Chip: chip, ctx: t.Context(), out: &out}
		s.reset(powerOn, true)
		defer chip.loader.abandon()
		if stub {
			s.startStub()
		}
		s.receive(in, 0)
		if got := len(chip.Flash()); got != size {
			t.Fatalf("the flash has %d bytes now", got)
		}
		if p := out.Bytes(); len(p) > 0 && (p[0] != slipEnd || p[len(p)-1] != slipEnd) {
			t.Fatalf("not whole frames: % x", p)
		}
	})
}

// FuzzImage checks arbitrary flash contents: an accepted image lies inside the flash and
// loads into RAM.
func FuzzImage(f *testing.F) {
	f.Add(goodImage(esp32c3()))
	f.Add(goodImage(esp32()))
	f.Add(words(directBootMagic, directBootMagic))
	f.Add(bytes.Repeat([]byte{0xFF}, 64))
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, m := range []*model{esp32c3(), esp32()} {
			flash := append(make([]byte, m.imageOffset), p...)
			img, err := m.check(flash)
			if err != nil || img.direct {
				continue
			}
			if img.size > len(p) {
				t.Fatalf("an image of %d bytes in a flash of %d", img.size, len(p))
			}
			for _, s := range img.segments {
				if !m.loadable(s.addr, uint32(len(s.data))) {
					t.Fatalf("segment at %#x", s.addr)
				}
			}
			_ = img.bootLines()
		}
	})
}
