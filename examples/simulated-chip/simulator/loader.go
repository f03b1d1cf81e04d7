package simulator

import (
	"encoding/binary"
	"time"
)

// loader is the state of the ROM's loader, or of the stub that replaced it.
type loader struct {
	stub     bool
	attached bool // the flash pins are set up; the ROM needs SPI_ATTACH for it
	ram      *ramDownload
	loaded   map[uint32][]byte // programs in RAM by load address
	writing  *flashDownload
	reading  *flashRead
}

// abandon drops what was under way, as a reset or the end of a connection does.
func (l *loader) abandon() {
	l.writing.close()
	l.ram, l.writing, l.reading = nil, nil, nil
}

// handler answers one command.
type handler func(*session, request) reply

// command is an entry of the table of commands.
type command struct {
	rom, stub handler // nil: that loader does not know it
	romSize   int     // bytes of data; anySize: the handler checks
	stubSize  int
	secure    bool // still answered in secure download mode
}

const anySize = -1

// commandOf looks a command up.
func commandOf(op Opcode) command {
	both := func(h handler, size int) command { return command{rom: h, stub: h, romSize: size, stubSize: size} }
	switch op {
	case Sync:
		c := both((*session).sync, syncSize)
		c.secure = true
		return c
	case ReadReg:
		return both((*session).readReg, 4)
	case WriteReg:
		return both((*session).writeReg, anySize)
	case GetSecurityInfo:
		return command{rom: (*session).securityInfo, romSize: anySize, stub: (*session).securityInfo, secure: true}
	case SPIAttach:
		return command{rom: (*session).spiAttach, romSize: 8, stub: (*session).spiAttach, stubSize: 4, secure: true}
	case SPISetParams:
		c := both((*session).spiSetParams, 24)
		c.secure = true
		return c
	case ChangeBaud:
		c := both((*session).changeBaud, 8)
		c.secure = true
		return c
	case MemBegin:
		return both((*session).memBegin, 16)
	case MemData:
		return both((*session).memData, anySize)
	case MemEnd:
		return both((*session).memEnd, 8)
	case FlashBegin, FlashDeflBegin:
		c := both((*session).flashBegin, anySize)
		c.secure = true
		return c
	case FlashData, FlashDeflData:
		c := both((*session).flashData, anySize)
		c.secure = true
		return c
	case FlashEnd, FlashDeflEnd:
		c := both((*session).flashEnd, 4)
		c.secure = true
		return c
	case SPIFlashMD5:
		return both((*session).flashMD5, 16)
	case ReadFlashSlow:
		return command{rom: (*session).readFlashSlow, romSize: 8}
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
	if !isRequest {
		return
	}
	s.faults.count(req.op)
	rep := s.dispatch(req, sizeOK)
	s.log.Debug("command", "op", req.op.String(), "bytes", len(req.data), "code", byte(rep.err), "stub", s.loader.stub)
	if rep.none {
		return
	}
	packet := slipEncode(rep.encode(req.op, s.loader.stub))
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
	case c.rom == nil || locked || req.op == GetSecurityInfo && !s.model.security:
		// The ROM repeats its last word eight times: a SYNC that failed.
		return reply{err: romInvalidMessage, as: Sync, repeat: 8}
	case !sizeOK || c.romSize != anySize && c.romSize != len(req.data):
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

// noise is n bytes that look like a bad cable: the same ones every time, none
// of them a frame delimiter.
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

// sync answers eight times.
func (s *session) sync(req request) reply {
	for i, want := range []byte{0x07, 0x07, 0x12, 0x20} {
		if req.data[i] != want {
			return s.code(romInvalidMessage, stubInvalid)
		}
	}
	value := uint32(syncValue)
	if s.loader.stub {
		value = 0
	}
	return reply{value: value, repeat: 8}
}

func (s *session) readReg(req request) reply {
	addr := req.word(0)
	if addr%4 != 0 {
		return s.code(romInvalidMessage, stubInvalid)
	}
	for start, program := range s.loader.loaded {
		if addr >= start && uint64(addr)+4 <= uint64(start)+uint64(len(program)) {
			return reply{value: binary.LittleEndian.Uint32(program[addr-start:])}
		}
	}
	return reply{value: s.bus.read(addr)}
}

// writeReg takes one or more groups of address, value, mask, delay in µs.
func (s *session) writeReg(req request) reply {
	if len(req.data) == 0 || len(req.data)%16 != 0 {
		return s.code(romInvalidMessage, stubBadLength)
	}
	for i := 0; i < len(req.data)/4; i += 4 {
		if req.word(i)%4 != 0 {
			return s.code(romInvalidMessage, stubInvalid)
		}
		s.bus.write(req.word(i), req.word(i+1), req.word(i+2))
	}
	if ticks := s.bus.watchdogTicks(); ticks != 0 {
		const slowClock = 136_000 // Hz, the RTC's own oscillator
		s.wake = s.cfg.Clock.Now().Add(time.Duration(ticks) * time.Second / slowClock)
	} else {
		s.wake = time.Time{}
	}
	return reply{}
}

// securityInfo answers flags, the encryption counter, key purposes, the chip id
// and the version of this interface.
func (s *session) securityInfo(req request) reply {
	switch {
	case s.loader.stub && !s.model.security:
		return fail(stubUnknown)
	case s.loader.stub && len(req.data) != 0:
		return fail(stubBadLength)
	case len(req.data) != 0 && len(req.data) != 12 && len(req.data) != 20:
		return fail(romInvalidMessage)
	}
	info := make([]byte, 20)
	for bit, k := range map[int]Kind{0: SecureBoot, 2: SecureDownload} {
		if s.faults.has(k) {
			info[0] |= 1 << bit
		}
	}
	if s.faults.has(FlashEncryption) {
		info[4] = 1
	}
	binary.LittleEndian.PutUint32(info[12:], uint32(s.model.imageChipID))
	return reply{data: info}
}

func (s *session) spiAttach(request) reply {
	s.loader.attached = true
	return reply{}
}

// spiSetParams takes id, size, block, sector, page and status mask. The part is
// what it is: a size beyond it fails later, where it would on a board.
func (s *session) spiSetParams(req request) reply {
	if req.word(1) == 0 {
		return s.code(romInvalidMessage, stubFailedSPI)
	}
	return reply{}
}

func (s *session) changeBaud(req request) reply {
	baud := int(req.word(0))
	if baud < 300 || baud > 5_000_000 {
		return s.code(romInvalidMessage, stubInvalid)
	}
	return reply{then: func() { s.baud = baud }}
}
