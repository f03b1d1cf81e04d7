package simulator

import (
	"encoding/hex"
	"errors"
)

// The commands of the mask ROM. They behave as measured on the mask ROMs of an ESP32-C3
// and an ESP32, even where that does harm: nothing but the payload of a data command has
// a checksum, sizes are hardly checked, and an ESP32 ends a deflated write with its whole
// inflate window.

// sync answers eight times, whatever the payload is.
func (s *session) sync(request) reply {
	return reply{value: syncValue, valued: true, repeat: 8}
}

// readReg ignores the low bits of the address. Without an address the ROM crashes.
func (s *session) readReg(req request) reply {
	if len(req.data) < 4 {
		s.reset(panicked, s.hasLines && s.lines.strapLow())
		return reply{none: true}
	}
	return reply{value: s.register(req.word(0) &^ 3), valued: true}
}

// writeReg takes groups of address, value, mask and delay in µs. The last group
// may lack its delay.
func (s *session) writeReg(req request) reply {
	for i := 0; i+3 <= len(req.data)/4; i += 4 {
		s.setRegister(req.word(i)&^3, req.word(i+1), req.word(i+2))
	}
	return reply{}
}

// inflateWindow is the size of the ROM's inflate buffer.
const inflateWindow = 32 << 10

// romWrite is an image that the ROM writes into flash.
type romWrite struct {
	deflated bool
	at       uint32 // where the next bytes go
	blocks   uint32 // announced
	block    uint32 // announced payload size
	counted  uint32 // blocks received, also those with a wrong checksum
	last     uint32 // the number of the last of them
	inflate  *inflater
	fill     int // bytes in the inflate window that are not in flash
	finished bool
}

// close ends the decompressor; w may be nil.
func (w *romWrite) close() {
	if w != nil && w.inflate != nil {
		w.inflate.close()
	}
}

// maxROMBlock is the largest DATA payload that the ROM takes.
const maxROMBlock = 0x1800

// romBegin takes erase size, number of blocks, block size and offset, and on ROMs
// of newer chips a fifth word that asks for encryption. It erases before it
// answers. It does not need SPI_ATTACH: the ROM attached the flash when it booted.
func (s *session) romBegin(req request) reply {
	if len(req.data) != s.model.beginSize {
		return fail(romInvalidMessage)
	}
	w := &romWrite{deflated: req.op == FlashDeflBegin, blocks: req.word(1), block: req.word(2), at: req.word(3)}
	switch {
	case w.block > maxROMBlock || w.block == 0 && w.blocks > 0:
		return fail(romInvalidMessage)
	case w.at%sectorSize != 0 || !s.flash.erase(w.at, req.word(0)):
		return fail(romFailedToAct)
	}
	if w.deflated {
		w.inflate = newInflater()
	}
	s.loader.rom.close()
	s.loader.rom = w
	return reply{}
}

// romData takes a block. The first may have the number 0 or 1, each further one
// has the next number. A block with a wrong checksum counts, so that the host has
// to send its payload again under the next number.
func (s *session) romData(req request) reply {
	deflated := req.op == FlashDeflData
	w := s.loader.rom
	p, rep := s.payload(req)
	if rep.err != ok {
		if rep.err == romBadChecksum && w != nil {
			w.counted, w.last = w.counted+1, req.word(1)
		}
		return rep
	}
	switch {
	case w == nil && deflated, w != nil && deflated && !w.deflated:
		return fail(romInvalidMessage)
	case w == nil:
		return reply{}
	case w.deflated && !deflated:
		return fail(romFailedToAct)
	}
	number := req.word(1)
	switch {
	case w.counted == 0 && number > 1, w.counted > 0 && number != w.last+1:
		return fail(romInvalidMessage)
	case !deflated && uint32(len(p)) != w.block, uint32(len(p)) > w.block:
		return fail(romInvalidMessage)
	}
	w.counted, w.last = w.counted+1, number
	if deflated {
		return s.romInflate(w, p)
	}
	if inside, _ := s.flash.write(w.at, p); !inside {
		return fail(romFailedToAct)
	}
	w.at += uint32(len(p))
	return reply{}
}

// romInflate writes a block of a deflate stream. The ROM writes its window whenever it is
// full. At the end of the stream it writes the filled part; an ESP32 writes the whole
// window.
func (s *session) romInflate(w *romWrite, p []byte) reply {
	if w.finished {
		s.loader.hung = true
		return reply{none: true}
	}
	out, done, err := w.inflate.feed(p)
	switch {
	case errors.Is(err, errSurplus):
		s.loader.hung = true
		return reply{none: true}
	case err != nil:
		s.log.Debug("deflate", "error", err)
		return fail(romDeflate)
	}
	for len(out) > 0 {
		n := copy(s.loader.window[w.fill:], out)
		w.fill, out = w.fill+n, out[n:]
		if w.fill == inflateWindow && !s.flush(w, inflateWindow) {
			return fail(romFailedToAct)
		}
	}
	switch {
	case done:
		w.finished = true
		n := w.fill
		if s.model.flushesWindow {
			n = inflateWindow
		}
		if !s.flush(w, n) {
			return fail(romFailedToAct)
		}
	case w.counted == w.blocks:
		return fail(romDeflate)
	}
	return reply{}
}

// flush writes n bytes of the window.
func (s *session) flush(w *romWrite, n int) (inside bool) {
	inside, _ = s.flash.write(w.at, s.loader.window[:n])
	w.at, w.fill = w.at+uint32(n), 0
	return inside
}

// romEnd leaves flash mode and restarts the chip, whatever its flag is.
func (s *session) romEnd(req request) reply {
	if w := s.loader.rom; w != nil && w.deflated != (req.op == FlashDeflEnd) {
		return fail(romFailedToAct)
	}
	s.loader.rom.close()
	s.loader.rom = nil
	return reply{then: func() { s.reset(software, false) }}
}

// romMD5 answers the digest of a range as text. Addresses beyond the part wrap, as
// the part ignores the upper address bits.
func (s *session) romMD5(req request) reply {
	sum := s.flash.wrappedDigest(req.word(0), req.word(1))
	return reply{data: []byte(hex.EncodeToString(sum[:]))}
}

// readFlashSlow answers 64 bytes for any requested length.
func (s *session) readFlashSlow(req request) reply {
	return reply{data: s.flash.wrapped(req.word(0), 64)}
}
