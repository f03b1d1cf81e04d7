package simulator

// SLIP framing as the ROM does it, after RFC 1055 but with a delimiter on both
// ends of a frame.
const (
	slipEnd    = 0xC0
	slipEsc    = 0xDB
	slipEscEnd = 0xDC
	slipEscEsc = 0xDD
)

// maxFrame is the longest frame any loader takes: a stub's 16 KiB block with
// its headers, and some room.
const maxFrame = 0x4000 + 64

// slipDecoder turns a byte stream into frames. Noise before a frame, empty
// frames, broken escapes and over-long frames are dropped, as a loader that
// waits for the next delimiter does. The zero value is ready to use.
type slipDecoder struct {
	buf     []byte
	inside  bool
	escaped bool
	broken  bool
}

// push takes one byte and returns a frame when that byte completed one. The
// frame is valid until the next call.
func (d *slipDecoder) push(b byte) ([]byte, bool) {
	if b == slipEnd {
		frame, whole := d.buf, d.inside && !d.broken && !d.escaped && len(d.buf) > 0
		// The delimiter that ends a frame may also begin the next one when a
		// host sends only one between two frames; an empty frame is dropped.
		d.inside, d.escaped, d.broken = true, false, false
		d.buf = nil
		return frame, whole
	}
	switch {
	case !d.inside || d.broken:
		return nil, false
	case d.escaped:
		d.escaped = false
		switch b {
		case slipEscEnd:
			b = slipEnd
		case slipEscEsc:
			b = slipEsc
		default:
			d.broken = true
			return nil, false
		}
	case b == slipEsc:
		d.escaped = true
		return nil, false
	}
	if len(d.buf) == maxFrame {
		d.broken = true
		return nil, false
	}
	d.buf = append(d.buf, b)
	return nil, false
}

// slipEncode frames p.
func slipEncode(p []byte) []byte {
	out := make([]byte, 0, len(p)+len(p)/16+2)
	out = append(out, slipEnd)
	for _, b := range p {
		switch b {
		case slipEnd:
			out = append(out, slipEsc, slipEscEnd)
		case slipEsc:
			out = append(out, slipEsc, slipEscEsc)
		default:
			out = append(out, b)
		}
	}
	return append(out, slipEnd)
}
