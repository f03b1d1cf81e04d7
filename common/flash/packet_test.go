package flash

import (
	"bytes"
	"testing"
)

func TestRequestOnTheWire(t *testing.T) {
	// READ_REG of 0x40001000, from esptool's documentation of the fields.
	got := request{op: opReadReg, data: words(0x40001000)}.encode()
	want := []byte{0xC0, 0, 0x0A, 4, 0, 0, 0, 0, 0, 0x00, 0x10, 0x00, 0x40, 0xC0}
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	// A data packet whose payload has both bytes that need an escape.
	got = dataRequest(opFlashData, 1, []byte{0xC0, 0xDB, 0x01, 0x02}).encode()
	want = []byte{0xC0, 0, 0x03, 20, 0, 0xEF ^ 0xC0 ^ 0xDB ^ 0x01 ^ 0x02, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0xDB, 0xDC, 0xDB, 0xDD, 0x01, 0x02, 0xC0}
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

// FuzzSLIP checks that an encoded packet is decoded once, after any noise, and that no
// decoded frame is longer than allowed.
func FuzzSLIP(f *testing.F) {
	f.Add([]byte("boot text"), []byte{0xC0, 0xDB, 1})
	f.Add([]byte{0xC0, 0xDB, 0xC0, 0xDB}, []byte{0})
	f.Add(bytes.Repeat([]byte{7}, 2*maxFrame), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, noise, packet []byte) {
		if len(packet) == 0 || len(packet) > maxFrame {
			return
		}
		var d slipDecoder
		for _, b := range noise {
			if f, ok := d.add(b); ok && (len(f) == 0 || len(f) > maxFrame) {
				t.Fatalf("a frame of %d bytes", len(f))
			}
		}
		var last []byte
		for _, b := range slipEncode(packet) {
			if f, ok := d.add(b); ok {
				last = f
			}
		}
		if !bytes.Equal(last, packet) || len(d.frame) != 0 {
			t.Fatalf("sent %x after %x, got %x", packet, noise, last)
		}
	})
}

// FuzzResponse checks that the parser never reads beyond a frame, and that a success has
// data of the expected length.
func FuzzResponse(f *testing.F) {
	f.Add([]byte{1, opReadReg, 4, 0, 1, 2, 3, 4, 0, 0, 0, 0}, 0)
	f.Add([]byte{1, opFlashMD5, 36, 0, 0, 0, 0, 0}, 32)
	f.Add([]byte{1, opSecurityInfo, 24, 0}, 20)
	f.Fuzz(func(t *testing.T, frame []byte, size int) {
		r, err := parseResponse(frame)
		if err != nil || size < 0 {
			return
		}
		data, err := r.result(statusSize, size)
		if err == nil && len(data) != size {
			t.Fatalf("%d bytes of data instead of %d", len(data), size)
		}
		if _, failed := r.failed(statusSize); failed && err == nil {
			t.Fatal("a failure was taken for a success")
		}
	})
}

// FuzzSecurityInfo uses the two lengths that exchange accepts.
func FuzzSecurityInfo(f *testing.F) {
	f.Add(make([]byte, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != 12 && len(b) != 20 {
			return
		}
		if s := parseSecurityInfo(b); s.hasID != (len(b) == 20) {
			t.Fatal("chip id from an answer without one")
		}
	})
}
