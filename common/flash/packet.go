package flash

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Commands of the ROM's loader.
const (
	opFlashBegin    = 0x02
	opFlashData     = 0x03
	opFlashEnd      = 0x04
	opSync          = 0x08
	opWriteReg      = 0x09
	opReadReg       = 0x0A
	opSPISetParams  = 0x0B
	opSPIAttach     = 0x0D
	opReadFlashSlow = 0x0E
	opChangeBaud    = 0x0F
	opDeflBegin     = 0x10
	opDeflData      = 0x11
	opFlashMD5      = 0x13
	opSecurityInfo  = 0x14
)

func opName(op byte) string {
	switch op {
	case opFlashBegin:
		return "FLASH_BEGIN"
	case opFlashData:
		return "FLASH_DATA"
	case opFlashEnd:
		return "FLASH_END"
	case opSync:
		return "SYNC"
	case opWriteReg:
		return "WRITE_REG"
	case opReadReg:
		return "READ_REG"
	case opSPISetParams:
		return "SPI_SET_PARAMS"
	case opSPIAttach:
		return "SPI_ATTACH"
	case opReadFlashSlow:
		return "READ_FLASH_SLOW"
	case opChangeBaud:
		return "CHANGE_BAUD"
	case opDeflBegin:
		return "FLASH_DEFL_BEGIN"
	case opDeflData:
		return "FLASH_DEFL_DATA"
	case opFlashMD5:
		return "SPI_FLASH_MD5"
	case opSecurityInfo:
		return "GET_SECURITY_INFO"
	}
	return fmt.Sprintf("command 0x%02x", op)
}

const (
	headerSize   = 8
	statusSize   = 4 // of a ROM; a stub's and an ESP8266's is 2
	checksumSeed = 0xEF
)

// request is a command to the chip.
type request struct {
	op   byte
	data []byte
	sum  byte // of the payload of data commands
}

// words makes the data of a command from 32-bit words.
func words(w ...uint32) []byte {
	out := make([]byte, 0, 4*len(w))
	for _, v := range w {
		out = binary.LittleEndian.AppendUint32(out, v)
	}
	return out
}

// dataRequest makes a data command: length, sequence number, two zero words,
// payload. The checksum covers the payload only.
func dataRequest(op byte, seq uint32, payload []byte) request {
	sum := byte(checksumSeed)
	for _, b := range payload {
		sum ^= b
	}
	return request{op: op, data: append(words(uint32(len(payload)), seq, 0, 0), payload...), sum: sum}
}

// encode returns the bytes on the wire.
func (r request) encode() []byte {
	p := make([]byte, headerSize, headerSize+len(r.data))
	p[1] = r.op
	binary.LittleEndian.PutUint16(p[2:], uint16(len(r.data)))
	p[4] = r.sum
	return slipEncode(append(p, r.data...))
}

// response is a frame from the chip, before its status is checked.
type response struct {
	op      byte
	value   uint32
	payload []byte // data and status
}

var (
	errNotResponse = errors.New("not a response")
	errShort       = errors.New("the answer is cut short")
	errLong        = errors.New("the answer is longer than it says")
)

// parseResponse reads a frame. A frame that is not a response (text between frames, an
// echo of the request) gives errNotResponse. A frame is spoiled if its length differs
// from the one in its header.
func parseResponse(frame []byte) (response, error) {
	if len(frame) < headerSize || frame[0] != 1 {
		return response{}, errNotResponse
	}
	size := int(binary.LittleEndian.Uint16(frame[2:]))
	r := response{op: frame[1], value: binary.LittleEndian.Uint32(frame[4:]), payload: frame[headerSize:]}
	if size > len(r.payload) {
		return r, errShort
	}
	if size < len(r.payload) {
		return r, errLong
	}
	return r, nil
}

// failed returns the error code if the response consists of a failed status of the given
// size.
func (r response) failed(status int) (byte, bool) {
	if len(r.payload) == status && r.payload[0] != 0 {
		return r.payload[1], true
	}
	return 0, false
}

// result checks the status, of the given size, and returns the data before it, whose
// length must be one of sizes.
func (r response) result(status int, sizes ...int) ([]byte, error) {
	if code, is := r.failed(status); is {
		return nil, &ROMError{Op: r.op, Code: code}
	}
	n := len(r.payload) - status
	if !slices.Contains(sizes, n) {
		return nil, fmt.Errorf("the answer to %s has %d bytes of data and status, which is not a valid length", opName(r.op), len(r.payload))
	}
	if r.payload[n] != 0 {
		return nil, &ROMError{Op: r.op, Code: r.payload[n+1]}
	}
	return r.payload[:n], nil
}
