package simulator

import (
	"encoding/binary"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Opcode is a command of the serial protocol.
type Opcode byte

// The commands, with the names that esptool's documentation gives them.
const (
	FlashBegin      Opcode = 0x02
	FlashData       Opcode = 0x03
	FlashEnd        Opcode = 0x04
	MemBegin        Opcode = 0x05
	MemEnd          Opcode = 0x06
	MemData         Opcode = 0x07
	Sync            Opcode = 0x08
	WriteReg        Opcode = 0x09
	ReadReg         Opcode = 0x0A
	SPISetParams    Opcode = 0x0B
	SPIAttach       Opcode = 0x0D
	ReadFlashSlow   Opcode = 0x0E // ROM only
	ChangeBaud      Opcode = 0x0F
	FlashDeflBegin  Opcode = 0x10
	FlashDeflData   Opcode = 0x11
	FlashDeflEnd    Opcode = 0x12
	SPIFlashMD5     Opcode = 0x13
	GetSecurityInfo Opcode = 0x14
	EraseFlash      Opcode = 0xD0 // stub only, as the rest
	EraseRegion     Opcode = 0xD1
	ReadFlash       Opcode = 0xD2
	RunUserCode     Opcode = 0xD3
)

// opcodeName returns the documented name of a command, or its number.
func opcodeName(op Opcode) string {
	switch op {
	case FlashBegin:
		return "FLASH_BEGIN"
	case FlashData:
		return "FLASH_DATA"
	case FlashEnd:
		return "FLASH_END"
	case MemBegin:
		return "MEM_BEGIN"
	case MemEnd:
		return "MEM_END"
	case MemData:
		return "MEM_DATA"
	case Sync:
		return "SYNC"
	case WriteReg:
		return "WRITE_REG"
	case ReadReg:
		return "READ_REG"
	case SPISetParams:
		return "SPI_SET_PARAMS"
	case SPIAttach:
		return "SPI_ATTACH"
	case ReadFlashSlow:
		return "READ_FLASH_SLOW"
	case ChangeBaud:
		return "CHANGE_BAUD"
	case FlashDeflBegin:
		return "FLASH_DEFL_BEGIN"
	case FlashDeflData:
		return "FLASH_DEFL_DATA"
	case FlashDeflEnd:
		return "FLASH_DEFL_END"
	case SPIFlashMD5:
		return "SPI_FLASH_MD5"
	case GetSecurityInfo:
		return "GET_SECURITY_INFO"
	case EraseFlash:
		return "ERASE_FLASH"
	case EraseRegion:
		return "ERASE_REGION"
	case ReadFlash:
		return "READ_FLASH"
	case RunUserCode:
		return "RUN_USER_CODE"
	}
	return fmt.Sprintf("0x%02X", byte(op))
}

// String returns the documented name, such as FLASH_DATA, or the number.
func (op Opcode) String() string { return opcodeName(op) }

// OpcodeNames lists the commands by name, sorted, for help texts.
func OpcodeNames() []string {
	var names []string
	for op := range 256 {
		if n := Opcode(op).String(); !strings.HasPrefix(n, "0x") {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	return names
}

// ParseOpcode reads a documented name in any case, or a number such as 0x03.
func ParseOpcode(s string) (Opcode, error) {
	for op := range 256 {
		if strings.EqualFold(Opcode(op).String(), s) {
			return Opcode(op), nil
		}
	}
	if n, err := strconv.ParseUint(s, 0, 8); err == nil {
		return Opcode(n), nil
	}
	return 0, fmt.Errorf("no command is called %q; known are %s", s, strings.Join(OpcodeNames(), ", "))
}

// errCode is the error byte of a status; zero is success.
type errCode byte

const (
	ok errCode = 0

	romInvalidMessage errCode = 0x05
	romFailedToAct    errCode = 0x06
	romBadChecksum    errCode = 0x07
	romDeflate        errCode = 0x0B

	stubBadLength    errCode = 0xC0
	stubBadChecksum  errCode = 0xC1
	stubBadBlockSize errCode = 0xC2
	stubInvalid      errCode = 0xC3
	stubFailedSPI    errCode = 0xC4
	stubNotInFlash   errCode = 0xC6
	stubInflate      errCode = 0xC7
	stubTooLittle    errCode = 0xC8
	stubTooMuch      errCode = 0xC9
	stubUnknown      errCode = 0xFF
)

const (
	requestHeader = 8
	checksumSeed  = 0xEF
	syncSize      = 36
	// syncValue is the value field of the ROM's reply to SYNC. A stub's is zero, by
	// which a host recognizes it.
	syncValue = 0x20120707
)

// request is a decoded command packet.
type request struct {
	op       Opcode
	checksum uint32
	data     []byte
}

// parseRequest decodes a frame. It reports false for a frame that is too short or has the
// wrong direction. sizeOK reports whether the size field agrees with the frame.
func parseRequest(frame []byte) (req request, sizeOK, isRequest bool) {
	if len(frame) < requestHeader || frame[0] != 0 {
		return request{}, false, false
	}
	size := int(binary.LittleEndian.Uint16(frame[2:]))
	req = request{
		op:       Opcode(frame[1]),
		checksum: binary.LittleEndian.Uint32(frame[4:]),
		data:     frame[requestHeader:],
	}
	return req, size == len(req.data), true
}

// word returns the i-th 32-bit word of the data; the caller checked the size.
func (r request) word(i int) uint32 { return binary.LittleEndian.Uint32(r.data[4*i:]) }

// reply is the answer to a command.
type reply struct {
	value  uint32
	valued bool // the ROM sets its value field anew
	data   []byte
	err    errCode
	// repeat is how many times the frame is sent; zero means once.
	repeat int
	// as replaces the opcode: the ROM answers unknown commands as SYNC.
	as Opcode
	// none suppresses the reply altogether.
	none bool
	// then runs after the reply was sent.
	then func()
}

func fail(code errCode) reply { return reply{err: code} }

// encode builds the packet of a reply. A stub ends it with a code and a zero. The
// ROM ends it with a flag, a code and two bytes that an earlier answer left behind;
// its value field, too, is an earlier answer's, except after SYNC and READ_REG.
func (s *session) encode(r reply, op Opcode) []byte {
	if r.as != 0 {
		op = r.as
	}
	l := &s.loader
	value, status := r.value, []byte{byte(r.err), 0}
	if !l.stub {
		if r.valued {
			l.value = r.value
		}
		value = l.value
		status = append([]byte{0}, s.model.staleStatus(l.tail)...)
		if r.err != ok {
			status[0], status[1] = 1, byte(r.err)
		}
		if n := s.model.statusLen; n != 0 {
			status = status[:n]
		}
	}
	data := r.data
	if r.err != ok {
		data = nil
	}
	if n := len(data); n >= 2 {
		l.tail = [2]byte(data[n-2:])
	}
	p := make([]byte, requestHeader, requestHeader+len(data)+len(status))
	p[0], p[1] = 1, byte(op)
	binary.LittleEndian.PutUint16(p[2:], uint16(len(data)+len(status)))
	binary.LittleEndian.PutUint32(p[4:], value)
	return append(append(p, data...), status...)
}

// checksum returns the protocol's XOR over a payload.
func checksum(p []byte) uint32 {
	sum := byte(checksumSeed)
	for _, b := range p {
		sum ^= b
	}
	return uint32(sum)
}
