package simulator

import (
	"encoding/binary"
	"time"
)

// loader is the state of the ROM's loader, or of the stub that replaced it.
type loader struct {
	stub   bool
	ram    *ramDownload
	loaded map[uint32][]byte // programs in RAM by load address

	// Of the ROM.
	rom    *romWrite
	window [inflateWindow]byte // what its inflater wrote last
	value  uint32              // the value field of the next answer
	tail   [2]byte             // status bytes 2 and 3 of the next answer
	hung   bool                // only a reset helps

	// Of the stub.
	writing *stubWrite
	reading *flashRead
}

// abandon drops unfinished downloads, at a reset or the end of a connection.
func (l *loader) abandon() {
	l.rom.close()
	l.writing.close()
	l.ram, l.rom, l.writing, l.reading = nil, nil, nil, nil
}

// handler answers one command.
type handler func(*session, request) reply

// command is an entry of the table of commands.
type command struct {
	rom, stub handler // nil: that loader does not know it
	romLeast  int     // the ROM refuses less data than this and ignores more
	stubSize  int     // bytes of data; anySize: the handler checks
	secure    bool    // still answered in secure download mode
}

const anySize = -1

// commandOf looks a command up.
func commandOf(op Opcode) command {
	switch op {
	case Sync:
		return command{rom: (*session).sync, stub: (*session).stubSync, stubSize: syncSize, secure: true}
	case ReadReg:
		return command{rom: (*session).readReg, stub: (*session).stubReadReg, stubSize: 4}
	case WriteReg:
		return command{rom: (*session).writeReg, romLeast: 12, stub: (*session).stubWriteReg, stubSize: anySize}
	case GetSecurityInfo:
		return command{rom: (*session).securityInfo, stub: (*session).securityInfo, secure: true}
	case SPIAttach:
		return command{rom: (*session).accept, romLeast: 4, stub: (*session).accept, stubSize: 4, secure: true}
	case SPISetParams:
		return command{rom: (*session).accept, romLeast: 24, stub: (*session).stubSetParams, stubSize: 24, secure: true}
	case ChangeBaud:
		return command{rom: (*session).changeBaud, romLeast: 8, stub: (*session).changeBaud, stubSize: 8, secure: true}
	case MemBegin:
		return command{rom: (*session).memBegin, romLeast: 16, stub: (*session).memBegin, stubSize: 16}
	case MemData:
		return command{rom: (*session).memData, stub: (*session).memData, stubSize: anySize}
	case MemEnd:
		return command{rom: (*session).memEnd, romLeast: 8, stub: (*session).memEnd, stubSize: 8}
	case FlashBegin, FlashDeflBegin:
		return command{rom: (*session).romBegin, stub: (*session).stubBegin, stubSize: anySize, secure: true}
	case FlashData, FlashDeflData:
		return command{rom: (*session).romData, stub: (*session).stubData, stubSize: anySize, secure: true}
	case FlashEnd, FlashDeflEnd:
		return command{rom: (*session).romEnd, romLeast: 4, stub: (*session).stubEnd, stubSize: 4, secure: true}
	case SPIFlashMD5:
		return command{rom: (*session).romMD5, romLeast: 12, stub: (*session).stubMD5, stubSize: 16}
	case ReadFlashSlow:
		return command{rom: (*session).readFlashSlow, romLeast: 8}
	case EraseFlash:
		return command{stub: (*session).eraseFlash}
	case EraseRegion:
		return command{stub: (*session).eraseRegion, stubSize: 8}
	case ReadFlash:
		return command{stub: (*session).readFlash, stubSize: 16}
	case RunUserCode:
		return command{stub: (*session).runUserCode}
	}
	return command{}
}

// frame handles one SLIP frame in download mode.
func (s *session) frame(frame []byte) {
	if s.loader.reading != nil {
		s.acknowledge(frame)
		return
	}
	req, sizeOK, isRequest := parseRequest(frame)
	if !isRequest || s.loader.hung {
		return
	}
	s.faults.count(req.op)
	rep := s.dispatch(req, sizeOK)
	s.log.Debug("command", "op", req.op.String(), "bytes", len(req.data), "code", byte(rep.err), "stub", s.loader.stub)
	if rep.none {
		return
	}
	packet := slipEncode(s.encode(rep, req.op))
	for range max(rep.repeat, 1) {
		s.transmit(req.op, packet)
	}
	if rep.then != nil {
		rep.then()
	}
}

// dispatch finds the command and answers it.
func (s *session) dispatch(req request, sizeOK bool) reply {
	c := commandOf(req.op)
	if s.loader.stub {
		switch {
		case !sizeOK:
			return fail(stubBadLength)
		case c.stub == nil:
			return fail(stubUnknown)
		case c.stubSize != anySize && c.stubSize != len(req.data):
			return fail(stubBadLength)
		}
		return c.stub(s, req)
	}
	locked := s.faults.has(SecureDownload) && !c.secure
	switch {
	case c.rom == nil || locked || !s.model.knows(req.op) || req.op == GetSecurityInfo && !s.model.security:
		// The ROM repeats its last answer eight times: a SYNC that failed.
		return reply{err: romInvalidMessage, as: Sync, repeat: 8}
	case len(req.data) < c.romLeast:
		return fail(romInvalidMessage)
	}
	return c.rom(s, req)
}

// code picks the error code of the loader that is running.
func (s *session) code(rom, stub errCode) reply {
	if s.loader.stub {
		return fail(stub)
	}
	return fail(rom)
}

// transmit sends one framed packet, unless the chip misbehaves.
func (s *session) transmit(op Opcode, packet []byte) {
	if _, is := s.faults.active(Silent, op); is {
		return
	}
	if m, is := s.faults.active(Slow, op); is {
		s.sleep(m.Delay)
	}
	if _, is := s.faults.active(Garbage, op); is {
		packet = noise(len(packet))
	}
	if _, is := s.faults.active(Half, op); is {
		packet = packet[:len(packet)/2]
	}
	s.out.send(s.ctx, packet, s.baud)
}

// noise returns n bytes that look like a bad cable: the same ones every time,
// none of them a frame delimiter.
func noise(n int) []byte {
	p := make([]byte, n)
	x := uint32(0x2545F491)
	for i := range p {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		p[i] = byte(x)
		if p[i] == slipEnd {
			p[i] = 0
		}
	}
	return p
}

// accept answers a command that changes nothing in the simulation.
func (s *session) accept(request) reply { return reply{} }

// register reads a word of the chip's address space.
func (s *session) register(addr uint32) uint32 {
	for start, program := range s.loader.loaded {
		if addr >= start && uint64(addr)+4 <= uint64(start)+uint64(len(program)) {
			return binary.LittleEndian.Uint32(program[addr-start:])
		}
	}
	return s.bus.read(addr)
}

// setRegister writes a word, and starts or stops the watchdog that it may control.
func (s *session) setRegister(addr, value, mask uint32) {
	s.bus.write(addr, value, mask)
	s.wake = time.Time{}
	if ticks := s.bus.watchdogTicks(); ticks != 0 {
		const slowClock = 136_000 // Hz, the RTC's own oscillator
		s.wake = s.cfg.Clock.Now().Add(time.Duration(ticks) * time.Second / slowClock)
	}
}

// securityInfo answers flags, the encryption counter, key purposes, the chip id
// and the version of this interface.
func (s *session) securityInfo(req request) reply {
	switch {
	case s.loader.stub && !s.model.security:
		return fail(stubUnknown)
	case s.loader.stub && len(req.data) != 0:
		return fail(stubBadLength)
	}
	info := make([]byte, s.model.securitySize())
	for bit, k := range map[int]Kind{0: SecureBoot, 2: SecureDownload} {
		if s.faults.has(k) {
			info[0] |= 1 << bit
		}
	}
	if s.faults.has(FlashEncryption) {
		info[4] = 1
	}
	if len(info) > 12 {
		binary.LittleEndian.PutUint32(info[12:], uint32(s.model.imageChipID))
	}
	return reply{data: info}
}

func (s *session) changeBaud(req request) reply {
	baud := int(req.word(0))
	if baud < 300 || baud > 5_000_000 {
		return s.code(romInvalidMessage, stubInvalid)
	}
	return reply{then: func() { s.baud = baud }}
}
