package simulator

import (
	"encoding/binary"
	"encoding/hex"
)

// flashDownload is an image on its way into flash.
type flashDownload struct {
	op       Opcode // FlashBegin or FlashDeflBegin: DATA and END must match
	at       uint32 // where the next bytes go
	left     uint32 // bytes still to come, uncompressed
	blocks   uint32
	block    uint32
	next     uint32 // the sequence number expected next
	inflate  *inflater
	finished bool // the deflate stream ended
}

// close ends the decompressor; d may be nil.
func (d *flashDownload) close() {
	if d != nil && d.inflate != nil {
		d.inflate.close()
	}
}

// Largest DATA payloads for flash.
const (
	maxROMBlock  = 0x1800
	maxStubBlock = 0x4000
)

// flashBegin takes erase size, number of blocks, block size and offset, and on
// ROMs of newer chips a fifth word that asks for encryption. Both loaders erase
// before they answer.
func (s *session) flashBegin(req request) reply {
	if s.loader.stub {
		if len(req.data) != 16 && len(req.data) != 20 {
			return fail(stubBadLength)
		}
	} else if len(req.data) != s.model.beginSize {
		return fail(romInvalidMessage)
	}
	s.loader.writing.close()
	s.loader.writing = nil
	d := &flashDownload{op: req.op, left: req.word(0), blocks: req.word(1), block: req.word(2), at: req.word(3)}
	limit := uint32(maxROMBlock)
	if s.loader.stub {
		limit = maxStubBlock
	}
	switch {
	case d.block > limit || d.block == 0 && d.blocks > 0:
		return s.code(romInvalidMessage, stubBadBlockSize)
	case !s.loader.attached:
		return fail(romFailedToAct) // the ROM has no pins to talk to the flash
	case !s.flash.erase(d.at, d.left):
		return s.code(romFailedToAct, stubFailedSPI)
	}
	if !s.loader.stub && req.op == FlashBegin {
		// The ROM counts blocks: the erase size may be less than what follows.
		d.left = d.blocks * d.block
	}
	if req.op == FlashDeflBegin {
		d.inflate = newInflater()
	}
	s.loader.writing = d
	return reply{}
}

func (s *session) flashData(req request) reply {
	p, rep := s.payload(req)
	if rep.err != ok {
		return rep
	}
	d := s.loader.writing
	switch {
	case d == nil || d.op != req.op-1:
		return s.code(romFailedToAct, stubNotInFlash)
	case req.word(1) != d.next || d.next >= d.blocks:
		return s.code(romInvalidMessage, stubInvalid)
	case uint32(len(p)) > d.block:
		return s.code(romInvalidMessage, stubTooMuch)
	}
	if d.inflate != nil {
		out, done, err := d.inflate.feed(p)
		if err != nil {
			s.log.Debug("deflate", "error", err)
			return s.code(romDeflate, stubInflate)
		}
		d.finished = done
		p = out
	}
	if uint32(len(p)) > d.left {
		if d.inflate != nil {
			return s.code(romDeflate, stubTooMuch)
		}
		p = p[:d.left] // the padding of the last block
	}
	inside, same := s.flash.write(d.at, p)
	switch {
	case !inside:
		return s.code(romFailedToAct, stubFailedSPI)
	case !same:
		// Bits that were not erased. The ROM reads back; a stub does not.
		if !s.loader.stub {
			return fail(romFlashWrite)
		}
	}
	d.at += uint32(len(p))
	d.left -= uint32(len(p))
	d.next++
	return reply{}
}

// flashEnd leaves flash mode: flag 0 reboots into flash boot; any other flag
// makes the ROM run the application, while a stub stays.
func (s *session) flashEnd(req request) reply {
	d := s.loader.writing
	begin := req.op - 2
	switch {
	case s.loader.stub && (d == nil || d.op != begin):
		return fail(stubNotInFlash)
	case !s.loader.stub && d != nil && d.op != begin:
		return fail(romFailedToAct)
	case s.loader.stub && d.left != 0:
		return fail(stubBadLength)
	}
	d.close()
	s.loader.writing = nil
	if req.word(0) == 0 || !s.loader.stub {
		return reply{then: func() { s.reset(software, false) }}
	}
	return reply{}
}

// flashMD5 answers the digest of a range: as text from the ROM, raw from a stub.
func (s *session) flashMD5(req request) reply {
	if !s.loader.attached {
		return fail(romFailedToAct)
	}
	sum, inside := s.flash.digest(req.word(0), req.word(1))
	if !inside {
		return s.code(romFlashRead, stubFailedSPI)
	}
	if s.loader.stub {
		return reply{data: sum[:]}
	}
	return reply{data: []byte(hex.EncodeToString(sum[:]))}
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

// readFlashSlow is the ROM's way to read: at most 64 bytes a command, always 64
// in the reply.
func (s *session) readFlashSlow(req request) reply {
	const most = 64
	addr, n := req.word(0), req.word(1)
	if !s.loader.attached {
		return fail(romFailedToAct)
	}
	if n > most {
		return fail(romReadTooLong)
	}
	p, inside := s.flash.read(addr, n)
	if !inside {
		return fail(romFlashRead)
	}
	return reply{data: append(p, make([]byte, most-n)...)}
}

// runUserCode starts the application without a reply.
func (s *session) runUserCode(request) reply {
	s.reset(software, false)
	return reply{none: true}
}

// flashRead is a stub's READ_FLASH under way.
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

// acknowledge takes the host's count of received bytes. Anything else breaks
// the read off with a digest, as the stub does.
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
