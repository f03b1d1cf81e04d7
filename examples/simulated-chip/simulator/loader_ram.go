package simulator

import "time"

// ramDownload is a program on its way into RAM.
type ramDownload struct {
	address uint32
	size    uint32
	blocks  uint32
	block   uint32
	next    uint32 // the sequence number expected next
	data    []byte
}

// maxRAMBlock is the longest MEM_DATA payload that hosts send to a ROM.
const maxRAMBlock = 0x1800

func (s *session) memBegin(req request) reply {
	d := &ramDownload{size: req.word(0), blocks: req.word(1), block: req.word(2), address: req.word(3)}
	fits := !s.loader.stub // the ROM does not check the address
	for _, ram := range s.model.ram {
		fits = fits || ram.holds(d.address, d.size)
	}
	switch {
	case !fits:
		return fail(stubInvalid)
	case d.block > maxRAMBlock || d.block == 0 && d.size > 0:
		return s.code(romInvalidMessage, stubBadBlockSize)
	case uint64(d.blocks)*uint64(d.block) < uint64(d.size):
		return s.code(romInvalidMessage, stubTooLittle)
	}
	s.loader.ram = d
	return reply{}
}

func (s *session) memData(req request) reply {
	payload, rep := s.payload(req)
	d := s.loader.ram
	if rep.err != ok {
		if rep.err == romBadChecksum && d != nil {
			d.next++ // the ROM counts the block
		}
		return rep
	}
	switch {
	case d == nil:
		return s.code(romFailedToAct, stubNotInFlash)
	case req.word(1) != d.next:
		return s.code(romInvalidMessage, stubInvalid)
	case s.loader.stub && (uint32(len(payload)) > d.block || uint32(len(d.data)+len(payload)) > d.size):
		return fail(stubTooMuch)
	}
	payload = payload[:min(len(payload), int(d.size)-len(d.data))] // the ROM ignores surplus data
	d.data = append(d.data, payload...)
	d.next++
	if uint32(len(d.data)) == d.size {
		if s.loader.loaded == nil {
			s.loader.loaded = make(map[uint32][]byte)
		}
		s.loader.loaded[d.address] = d.data
	}
	return reply{}
}

// memEnd ends a download: flag 0 runs the program at the entry point. The simulation
// takes every program for a stub. An entry point outside of the program resets the chip.
func (s *session) memEnd(req request) reply {
	flag, entry := req.word(0), req.word(1)
	d := s.loader.ram
	switch {
	case d == nil && flag == 0:
		return s.code(romFailedToAct, stubNotInFlash)
	case d != nil && uint32(len(d.data)) < d.size:
		return s.code(romFailedToAct, stubTooLittle)
	}
	s.loader.ram = nil
	if flag != 0 {
		return reply{}
	}
	for start, program := range s.loader.loaded {
		if entry >= start && uint64(entry) < uint64(start)+uint64(len(program)) {
			return reply{then: func() { s.startStub() }}
		}
	}
	s.log.Warn("MEM_END jumps to an address that was not loaded; the chip resets", "entry", entry)
	return reply{then: func() { s.wake = s.cfg.Clock.Now().Add(time.Second) }}
}

// startStub starts the stub, which prints OHAI.
func (s *session) startStub() {
	s.loader.abandon()
	s.loader.stub = true
	s.transmit(MemEnd, slipEncode([]byte("OHAI")))
}

// payload makes the checks of all three DATA commands, and returns the bytes behind
// their header.
func (s *session) payload(req request) ([]byte, reply) {
	const header = 16
	if len(req.data) < header {
		return nil, s.code(romInvalidMessage, stubTooLittle)
	}
	p := req.data[header:]
	if req.word(0) != uint32(len(p)) {
		return nil, s.code(romInvalidMessage, stubBadLength)
	}
	if req.checksum&0xFF != checksum(p) {
		return nil, s.code(romBadChecksum, stubBadChecksum)
	}
	return p, reply{}
}
