package flash

const (
	slipEnd    = 0xC0
	slipEsc    = 0xDB
	slipEscEnd = 0xDC
	slipEscEsc = 0xDD
)

// maxFrame bounds a received frame. The longest that a ROM sends is a tenth of it;
// a stub's has 4 KiB of flash.
const maxFrame = 4 << 10

// slipEncode frames a packet.
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

// slipDecoder finds frames in a stream that also carries text and noise. Every
// run of bytes between two delimiters counts as a frame, whichever of them
// opened it: so one lost or surplus delimiter costs one frame, not all that
// follow. Runs that cannot be frames (too long, with a wrong escape) are dropped.
type slipDecoder struct {
	frame   []byte
	escaped bool
	bad     bool
}

// add takes one byte and returns a frame if the byte completes one. The frame
// belongs to the caller.
func (d *slipDecoder) add(b byte) ([]byte, bool) {
	switch {
	case b == slipEnd:
		frame, ok := d.frame, !d.bad && !d.escaped && len(d.frame) > 0
		*d = slipDecoder{}
		return frame, ok
	case d.bad:
	case d.escaped && b == slipEscEnd:
		d.escaped = false
		d.frame = append(d.frame, slipEnd)
	case d.escaped && b == slipEscEsc:
		d.escaped = false
		d.frame = append(d.frame, slipEsc)
	case d.escaped:
		d.bad = true
	case b == slipEsc:
		d.escaped = true
	case len(d.frame) == maxFrame:
		d.bad = true
	default:
		d.frame = append(d.frame, b)
	}
	return nil, false
}
