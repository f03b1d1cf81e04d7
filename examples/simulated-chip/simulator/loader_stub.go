package simulator

import (
	"encoding/binary"
	"errors"
)

// The commands of Espressif's flasher stub, which makes checks that the ROM leaves out.

// stubSync answers eight times, with the value by which a host recognizes a stub.
func (s *session) stubSync(req request) reply {
	for i, want := range []byte{0x07, 0x07, 0x12, 0x20} {
		if req.data[i] != want {
			return fail(stubInvalid)
		}
	}
	return reply{repeat: 8}
}

func (s *session) stubReadReg(req request) reply {
	if req.word(0)%4 != 0 {
		return fail(stubInvalid)
	}
	return reply{value: s.register(req.word(0))}
}

// stubWriteReg takes one or more groups of address, value, mask, delay in µs.
func (s *session) stubWriteReg(req request) reply {
	if len(req.data) == 0 || len(req.data)%16 != 0 {
		return fail(stubBadLength)
	}
	for i := 0; i < len(req.data)/4; i += 4 {
		if req.word(i)%4 != 0 {
			return fail(stubInvalid)
		}
		s.setRegister(req.word(i), req.word(i+1), req.word(i+2))
	}
	return reply{}
}

// stubSetParams takes id, size, block, sector, page and status mask.
func (s *session) stubSetParams(req request) reply {
	if req.word(1) == 0 {
		return fail(stubFailedSPI)
	}
	return reply{}
}

// stubWrite is an image that the stub writes into flash.
type stubWrite struct {
	op      Opcode // FlashBegin or FlashDeflBegin: DATA and END must match
	at      uint32 // where the next bytes go
	left    uint32 // bytes not yet received, uncompressed
	blocks  uint32
	block   uint32
	next    uint32 // the number of the next block
	inflate *inflater
}

// close ends the decompressor; w may be nil.
func (w *stubWrite) close() {
	if w != nil && w.inflate != nil {
		w.inflate.close()
	}
}

// maxStubBlock is the largest DATA payload that the stub takes.
const maxStubBlock = 0x4000

func (s *session) stubBegin(req request) reply {
	if len(req.data) != 16 && len(req.data) != 20 {
		return fail(stubBadLength)
	}
	s.loader.writing.close()
	s.loader.writing = nil
	w := &stubWrite{op: req.op, left: req.word(0), blocks: req.word(1), block: req.word(2), at: req.word(3)}
	switch {
	case w.block > maxStubBlock || w.block == 0 && w.blocks > 0:
		return fail(stubBadBlockSize)
	case !s.flash.erase(w.at, w.left):
		return fail(stubFailedSPI)
	}
	if req.op == FlashDeflBegin {
		w.inflate = newInflater()
	}
	s.loader.writing = w
	return reply{}
}

func (s *session) stubData(req request) reply {
	p, rep := s.payload(req)
	if rep.err != ok {
		return rep
	}
	w := s.loader.writing
	switch {
	case w == nil || w.op != req.op-1:
		return fail(stubNotInFlash)
	case req.word(1) != w.next || w.next >= w.blocks:
		return fail(stubInvalid)
	case uint32(len(p)) > w.block:
		return fail(stubTooMuch)
	}
	if w.inflate != nil {
		out, _, err := w.inflate.feed(p)
		if err != nil && !errors.Is(err, errSurplus) {
			s.log.Debug("deflate", "error", err)
			return fail(stubInflate)
		}
		if uint32(len(out)) > w.left {
			return fail(stubTooMuch)
		}
		p = out
	}
	p = p[:min(uint32(len(p)), w.left)] // without the padding of the last block
	if inside, _ := s.flash.write(w.at, p); !inside {
		return fail(stubFailedSPI)
	}
	w.at += uint32(len(p))
	w.left -= uint32(len(p))
	w.next++
	return reply{}
}

// stubEnd leaves flash mode: flag 0 restarts the chip, any other flag stays.
func (s *session) stubEnd(req request) reply {
	w := s.loader.writing
	switch {
	case w == nil || w.op != req.op-2:
		return fail(stubNotInFlash)
	case w.left != 0:
		return fail(stubBadLength)
	}
	w.close()
	s.loader.writing = nil
	if req.word(0) == 0 {
		return reply{then: func() { s.reset(software, false) }}
	}
	return reply{}
}

// stubMD5 answers the raw digest of a range.
func (s *session) stubMD5(req request) reply {
	sum, inside := s.flash.digest(req.word(0), req.word(1))
	if !inside {
		return fail(stubFailedSPI)
	}
	return reply{data: sum[:]}
}

func (s *session) eraseFlash(request) reply {
	s.flash.erase(0, uint32(s.cfg.FlashSize))
	return reply{}
}

func (s *session) eraseRegion(req request) reply {
	addr, size := req.word(0), req.word(1)
	if addr%sectorSize != 0 || size%sectorSize != 0 {
		return fail(stubBadLength)
	}
	if !s.flash.erase(addr, size) {
		return fail(stubFailedSPI)
	}
	return reply{}
}

// runUserCode starts the application without a reply.
func (s *session) runUserCode(request) reply {
	s.reset(software, false)
	return reply{none: true}
}

// flashRead is an unfinished READ_FLASH.
type flashRead struct {
	at, left uint32
	packet   uint32
	window   uint32 // packets that may be unacknowledged
	total    uint32 // bytes asked for
	sent     uint32
	digest   []byte
	unacked  uint32
}

// readFlash takes offset, length, packet size and the largest number of packets
// in flight. Packets follow the reply; the host acknowledges with the number of
// bytes it has so far, and gets the MD5 of everything at the end.
func (s *session) readFlash(req request) reply {
	r := &flashRead{at: req.word(0), left: req.word(1), total: req.word(1), packet: req.word(2), window: max(req.word(3), 1)}
	sum, inside := s.flash.digest(r.at, r.total)
	switch {
	case r.packet == 0 || r.packet > sectorSize:
		return fail(stubBadLength)
	case !inside:
		return fail(stubFailedSPI)
	}
	r.digest = sum[:]
	return reply{then: func() {
		s.loader.reading = r
		s.pump()
	}}
}

// pump sends as many packets as may be in flight, and the digest at the end.
func (s *session) pump() {
	r := s.loader.reading
	for r.left > 0 && r.unacked < r.window {
		n := min(r.left, r.packet)
		p, _ := s.flash.read(r.at, n)
		s.transmit(ReadFlash, slipEncode(p))
		r.at, r.left, r.sent, r.unacked = r.at+n, r.left-n, r.sent+n, r.unacked+1
	}
	if r.left == 0 && r.unacked == 0 {
		s.transmit(ReadFlash, slipEncode(r.digest))
		s.loader.reading = nil
	}
}

// acknowledge takes the host's count of received bytes. Anything else ends the
// read with a digest, as in the stub.
func (s *session) acknowledge(frame []byte) {
	r := s.loader.reading
	if len(frame) != 4 || binary.LittleEndian.Uint32(frame) > r.sent {
		s.transmit(ReadFlash, slipEncode(r.digest))
		s.loader.reading = nil
		return
	}
	pending := r.sent - binary.LittleEndian.Uint32(frame)
	r.unacked = (pending + r.packet - 1) / r.packet
	s.pump()
}
