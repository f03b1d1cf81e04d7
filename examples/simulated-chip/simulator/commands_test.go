package simulator

import (
	"bytes"
	"compress/zlib"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"testing"
)

// rom opens a chip whose ROM waits for commands.
func rom(t *testing.T, cfg Config) (*Chip, *host) {
	t.Helper()
	cfg.Strap = Download
	chip, h := open(t, cfg)
	h.until("waiting for download\r\n")
	return chip, h
}

// stubRAM is an address that each chip has RAM at.
var stubRAM = map[string]uint32{"esp32c3": 0x40380000, "esp32": 0x40090000}

// loadStub loads a program, which the simulation takes for a stub.
func (h *host) loadStub(chip string) {
	h.t.Helper()
	code := []byte("stub code is not run")
	h.want(MemBegin, words(uint32(len(code)), 1, 0x1800, stubRAM[chip]), 0, ok)
	h.wantData(MemData, 0, code, ok)
	h.want(MemEnd, words(0, stubRAM[chip]+4), 0, ok)
	if f := h.frame(); string(f) != "OHAI" {
		h.t.Fatalf("the stub starts with %q", f)
	}
}

// status is the end of a reply.
func status(code errCode) []byte {
	switch {
	case code == ok:
		return []byte{0, 0, 0, 0}
	case code >= 0xC0:
		return []byte{byte(code), 0}
	}
	return []byte{1, byte(code), 0, 0}
}

// sameStatus compares two statuses without their last two bytes, which are stale in
// answers of a ROM.
func sameStatus(a, b []byte) bool {
	return len(a) == len(b) && len(a) >= 2 && bytes.Equal(a[:2], b[:2])
}

// want sends a command whose reply has no data and checks it. It accepts the
// short success of a stub.
func (h *host) want(op Opcode, data []byte, sum uint32, code errCode) {
	h.t.Helper()
	h.send(op, sum, data)
	got := h.reply()
	success := code == ok && (len(got.data) == 2 || len(got.data) == 4) && got.data[0] == 0
	if got.op != op || !success && !sameStatus(got.data, status(code)) {
		h.t.Fatalf("%s % x…: reply %s % x, want % x", op, data[:min(len(data), 24)], got.op, got.data, status(code))
	}
}

// wantData sends one DATA command.
func (h *host) wantData(op Opcode, seq uint32, payload []byte, code errCode) {
	h.t.Helper()
	h.want(op, append(words(uint32(len(payload)), seq, 0, 0), payload...), checksum(payload), code)
}

// step is one command of a table.
type step struct {
	op   Opcode
	data []byte
	sum  uint32
	code errCode
}

func begin(w ...uint32) []byte { return words(w...) }

// data is a DATA command with the right checksum.
func data(op Opcode, seq uint32, payload []byte, code errCode) step {
	return step{op, append(words(uint32(len(payload)), seq, 0, 0), payload...), checksum(payload), code}
}

var (
	attachROM  = step{SPIAttach, words(0, 0), 0, ok}
	attachStub = step{SPIAttach, words(0), 0, ok}
	block      = bytes.Repeat([]byte{0x5A}, 0x400)
)

func deflated(p []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	z.Write(p)
	z.Close()
	return b.Bytes()
}

// flushed deflates p to the end of a byte, without the end of the stream.
func flushed(p []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	z.Write(p)
	z.Flush()
	return b.Bytes()
}

func TestCommandsAndTheirErrorCodes(t *testing.T) {
	zipped := deflated(bytes.Repeat([]byte{0xA5, 1, 2}, 3000)) // 9000 bytes
	wrongSum := data(FlashData, 0, block, romBadChecksum)
	wrongSum.sum ^= 1
	wrongSumStub := wrongSum
	wrongSumStub.code = stubBadChecksum
	wrongRAMSum := data(MemData, 0, []byte("abcd"), romBadChecksum)
	wrongRAMSum.sum = 0
	lying := step{FlashData, append(words(0x200, 0, 0, 0), block...), checksum(block), romInvalidMessage}
	lyingStub := lying
	lyingStub.code = stubBadLength
	for _, tt := range []struct {
		name  string
		chip  string // both when empty
		stub  bool
		steps []step
	}{
		{"stub: sync with another size", "", true, []step{{Sync, syncData[:20], 0, stubBadLength}}},
		{"stub: read_reg of another size", "", true, []step{{ReadReg, nil, 0, stubBadLength}}},
		{"write_reg of no group", "", false, []step{{WriteReg, nil, 0, romInvalidMessage}}},
		{"write_reg of two groups", "", false, []step{{WriteReg, words(0x60000100, 1, ^uint32(0), 0, 0x60000104, 1, ^uint32(0), 0), 0, ok}}},
		{"stub: spi_attach of the ROM's size", "", true, []step{{SPIAttach, words(0, 0), 0, stubBadLength}}},
		{"spi_set_params", "", false, []step{{SPISetParams, words(0, 4<<20, 0x10000, 0x1000, 0x100, 0xFFFF), 0, ok}}},
		{"spi_set_params too short", "", false, []step{{SPISetParams, words(0, 4<<20), 0, romInvalidMessage}}},
		{"change_baud too short", "", false, []step{{ChangeBaud, words(460800), 0, romInvalidMessage}}},
		{"change_baud to an absurd rate", "", false, []step{{ChangeBaud, words(1, 0), 0, romInvalidMessage}}},

		{"mem_begin of too few blocks", "esp32c3", false, []step{{MemBegin, begin(0x2000, 1, 0x1800, 0x3FC90000), 0, romInvalidMessage}}},
		{"mem_begin of huge blocks", "esp32c3", false, []step{{MemBegin, begin(0x4000, 1, 0x4000, 0x3FC90000), 0, romInvalidMessage}}},
		{"mem_data without begin", "", false, []step{data(MemData, 0, []byte("abcd"), romFailedToAct)}},
		{"mem_data with a wrong checksum", "esp32c3", false, []step{{MemBegin, begin(4, 1, 0x1800, 0x3FC90000), 0, ok}, wrongRAMSum}},
		{"mem_data out of sequence", "esp32c3", false, []step{{MemBegin, begin(4, 1, 0x1800, 0x3FC90000), 0, ok}, data(MemData, 1, []byte("abcd"), romInvalidMessage)}},
		{"mem_data without its header", "", false, []step{{MemData, []byte{1, 2, 3}, 0, romInvalidMessage}}},
		{"mem_end before the data", "esp32c3", false, []step{{MemBegin, begin(4, 1, 0x1800, 0x3FC90000), 0, ok}, {MemEnd, words(0, 0x3FC90000), 0, romFailedToAct}}},
		{"mem_end without begin", "", false, []step{{MemEnd, words(0, 0), 0, romFailedToAct}}},
		{"mem_end that stays", "", false, []step{{MemEnd, words(1, 0), 0, ok}}},

		{"flash_begin of an ESP32's size", "esp32c3", false, []step{attachROM, {FlashBegin, begin(0x400, 1, 0x400, 0), 0, romInvalidMessage}}},
		{"flash_begin of a newer chip's size", "esp32", false, []step{attachROM, {FlashBegin, begin(0x400, 1, 0x400, 0, 0), 0, romInvalidMessage}}},
		{"flash_begin beyond the flash", "esp32", false, []step{attachROM, {FlashBegin, begin(0x2000, 8, 0x400, 4<<20-0x1000), 0, romFailedToAct}}},
		{"flash_begin that wraps around", "esp32", false, []step{attachROM, {FlashBegin, begin(0xFFFFF000, 8, 0x400, 0x2000), 0, romFailedToAct}}},
		{"flash_begin of huge blocks", "esp32", false, []step{attachROM, {FlashBegin, begin(0x4000, 1, 0x4000, 0), 0, romInvalidMessage}}},
		{"flash_begin of empty blocks", "esp32", false, []step{attachROM, {FlashBegin, begin(0x4000, 1, 0, 0), 0, romInvalidMessage}}},
		{"flash_data", "esp32", false, []step{attachROM, {FlashBegin, begin(0x800, 2, 0x400, 0x1000), 0, ok}, data(FlashData, 0, block, ok), data(FlashData, 1, block, ok)}},
		{"flash_data with a wrong checksum", "esp32", false, []step{attachROM, {FlashBegin, begin(0x400, 1, 0x400, 0), 0, ok}, wrongSum}},
		{"flash_data that lies about its size", "esp32", false, []step{attachROM, {FlashBegin, begin(0x400, 1, 0x400, 0), 0, ok}, lying}},
		{"flash_data twice", "esp32", false, []step{attachROM, {FlashBegin, begin(0x800, 2, 0x400, 0), 0, ok}, data(FlashData, 0, block, ok), data(FlashData, 0, block, romInvalidMessage)}},
		{"flash_data longer than a block", "esp32", false, []step{attachROM, {FlashBegin, begin(0x400, 1, 0x200, 0), 0, ok}, data(FlashData, 0, block, romInvalidMessage)}},
		{"flash_data in a deflated download", "esp32", false, []step{attachROM, {FlashDeflBegin, begin(9000, 1, 0x400, 0), 0, ok}, data(FlashData, 0, block, romFailedToAct)}},

		{"flash_defl_data", "esp32", false, []step{attachROM, {FlashDeflBegin, begin(9000, 1, 0x400, 0), 0, ok}, data(FlashDeflData, 0, zipped, ok)}},
		{"flash_defl_data that is no zlib stream", "esp32", false, []step{attachROM, {FlashDeflBegin, begin(9000, 1, 0x400, 0), 0, ok}, data(FlashDeflData, 0, block, romDeflate)}},

		{"md5 too short", "", false, []step{attachROM, {SPIFlashMD5, words(0, 0x1000), 0, romInvalidMessage}}},

		{"stub: unknown command", "", true, []step{{0x77, nil, 0, stubUnknown}}},
		{"stub: slow read", "", true, []step{{ReadFlashSlow, words(0, 64), 0, stubUnknown}}},
		{"stub: flash_begin takes both sizes", "", true, []step{{FlashBegin, begin(0x400, 1, 0x4000, 0), 0, ok}, {FlashBegin, begin(0x400, 1, 0x4000, 0, 0), 0, ok}}},
		{"stub: flash_begin of another size", "", true, []step{{FlashBegin, words(1, 2, 3), 0, stubBadLength}}},
		{"stub: flash_begin of huge blocks", "", true, []step{{FlashBegin, begin(0x8000, 1, 0x8000, 0), 0, stubBadBlockSize}}},
		{"stub: flash_begin beyond the flash", "", true, []step{{FlashBegin, begin(0x1000, 1, 0x4000, 4<<20), 0, stubFailedSPI}}},
		{"stub: flash_data without begin", "", true, []step{data(FlashData, 0, block, stubNotInFlash)}},
		{"stub: flash_data with a wrong checksum", "", true, []step{{FlashBegin, begin(0x400, 1, 0x4000, 0), 0, ok}, wrongSumStub}},
		{"stub: flash_data that lies about its size", "", true, []step{{FlashBegin, begin(0x400, 1, 0x4000, 0), 0, ok}, lyingStub}},
		{"stub: flash_data out of sequence", "", true, []step{{FlashBegin, begin(0x800, 2, 0x400, 0), 0, ok}, data(FlashData, 1, block, stubInvalid)}},
		{"stub: flash_data without its header", "", true, []step{{FlashData, []byte{1}, 0, stubTooLittle}}},
		{"stub: flash_end before the data", "", true, []step{{FlashBegin, begin(0x400, 1, 0x4000, 0), 0, ok}, {FlashEnd, words(1), 0, stubBadLength}}},
		{"stub: flash_end without begin", "", true, []step{{FlashEnd, words(1), 0, stubNotInFlash}}},
		{"stub: flash_defl_end of a plain download", "", true, []step{{FlashBegin, begin(0, 0, 0x4000, 0), 0, ok}, {FlashDeflEnd, words(1), 0, stubNotInFlash}}},
		{"stub: deflated download", "", true, []step{{FlashDeflBegin, begin(9000, 1, 0x4000, 0x1000), 0, ok}, data(FlashDeflData, 0, zipped, ok), {FlashDeflEnd, words(1), 0, ok}}},
		{"stub: bad deflate data", "", true, []step{{FlashDeflBegin, begin(9000, 1, 0x4000, 0), 0, ok}, data(FlashDeflData, 0, block, stubInflate)}},
		{"stub: inflates to too much", "", true, []step{{FlashDeflBegin, begin(10, 1, 0x4000, 0), 0, ok}, data(FlashDeflData, 0, zipped, stubTooMuch)}},
		{"stub: md5 beyond the flash", "", true, []step{attachStub, {SPIFlashMD5, words(4<<20, 1, 0, 0), 0, stubFailedSPI}}},
		{"stub: erase_flash", "", true, []step{{EraseFlash, nil, 0, ok}}},
		{"stub: erase_flash with data", "", true, []step{{EraseFlash, words(1), 0, stubBadLength}}},
		{"stub: erase_region", "", true, []step{{EraseRegion, words(0x1000, 0x2000), 0, ok}}},
		{"stub: erase_region not aligned", "", true, []step{{EraseRegion, words(0x1001, 0x1000), 0, stubBadLength}, {EraseRegion, words(0x1000, 0x100), 0, stubBadLength}}},
		{"stub: erase_region beyond the flash", "", true, []step{{EraseRegion, words(4<<20-0x1000, 0x2000), 0, stubFailedSPI}}},
		{"stub: read_flash in huge packets", "", true, []step{{ReadFlash, words(0, 0x4000, 0x2000, 1), 0, stubBadLength}}},
		{"stub: read_flash beyond the flash", "", true, []step{{ReadFlash, words(4<<20-1, 2, 0x1000, 1), 0, stubFailedSPI}}},
	} {
		chips := []string{tt.chip}
		if tt.chip == "" {
			chips = []string{"esp32c3", "esp32"}
		}
		for _, chip := range chips {
			t.Run(tt.name+"/"+chip, func(t *testing.T) {
				_, h := rom(t, Config{Chip: chip})
				if tt.stub {
					h.loadStub(chip)
				}
				for _, s := range tt.steps {
					h.want(s.op, s.data, s.sum, s.code)
				}
			})
		}
	}
}

func TestSizeFieldThatDisagreesWithTheFrame(t *testing.T) {
	_, h := rom(t, Config{Chip: "esp32c3"})
	frame := []byte{0, byte(ReadReg), 8, 0, 0, 0, 0, 0, 0, 0x10, 0, 0x40}
	h.port.Write(slipEncode(frame))
	if got := h.reply(); got.data[0] != 0 || got.value != 0x1B31506F {
		t.Errorf("the ROM does not look at the size field: %+v", got)
	}
	h.loadStub("esp32c3")
	h.port.Write(slipEncode(frame))
	if got := h.reply(); !bytes.Equal(got.data, status(stubBadLength)) {
		t.Errorf("stub: % x", got.data)
	}
}

func TestUnknownCommandsAreAnsweredAsFailedSyncs(t *testing.T) {
	for _, tt := range []struct {
		chip string
		op   Opcode
		cfg  Config
	}{
		{"esp32", GetSecurityInfo, Config{}},
		{"esp32", 0x77, Config{}},
		{"esp32c3", EraseFlash, Config{}},
		{"esp32c3", ReadReg, Config{Misbehave: []Misbehavior{{Kind: SecureDownload}}}},
		{"esp32c3", SPIFlashMD5, Config{Misbehave: []Misbehavior{{Kind: SecureDownload}}}},
		{"esp32c3", MemBegin, Config{Misbehave: []Misbehavior{{Kind: SecureDownload}}}},
	} {
		t.Run(fmt.Sprintf("%s/%s", tt.chip, tt.op), func(t *testing.T) {
			tt.cfg.Chip = tt.chip
			_, h := rom(t, tt.cfg)
			h.send(tt.op, 0, nil)
			for range 8 {
				if got := h.reply(); got.op != Sync || !sameStatus(got.data, status(romInvalidMessage)) {
					t.Fatalf("%+v", got)
				}
			}
			h.want(SPIAttach, words(0, 0), 0, ok)
		})
	}
}

func TestSecurityInfo(t *testing.T) {
	for _, size := range []int{0, 4, 12, 20} {
		_, h := rom(t, Config{Chip: "esp32c3", Misbehave: []Misbehavior{{Kind: SecureBoot}, {Kind: SecureDownload}, {Kind: FlashEncryption}}})
		got := h.ask(GetSecurityInfo, make([]byte, size))
		want := words(0b101, 1, 0, 5, 0)
		if len(got.data) != 24 || !bytes.Equal(got.data[:20], want) || got.data[20] != 0 {
			t.Errorf("request of %d bytes: % x, want % x", size, got.data, want)
		}
	}
	_, h := rom(t, Config{Chip: "esp32c3"})
	h.loadStub("esp32c3")
	if got := h.ask(GetSecurityInfo, nil); !bytes.Equal(got.data, append(words(0, 0, 0, 5, 0), 0, 0)) {
		t.Errorf("stub: % x", got.data)
	}
	h.want(GetSecurityInfo, make([]byte, 20), 0, stubBadLength)
}

// TestDownloadsReachTheFlash writes in all ways and checks the flash.
func TestDownloadsReachTheFlash(t *testing.T) {
	image := bytes.Repeat([]byte("a simulated image "), 1000)
	zipped := deflated(image)
	for _, chip := range []string{"esp32c3", "esp32"} {
		for _, stub := range []bool{false, true} {
			for _, deflate := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/stub=%v/deflate=%v", chip, stub, deflate), func(t *testing.T) {
					c, h := rom(t, Config{Chip: chip, Flash: make([]byte, 0x20000)})
					size := 0x400
					if stub {
						h.loadStub(chip)
						size = 0x4000
					}
					payload, beginOp := image, FlashBegin
					if deflate {
						payload, beginOp = zipped, FlashDeflBegin
					}
					if !stub {
						h.want(SPIAttach, words(0, 0), 0, ok)
					}
					blocks := (len(payload) + size - 1) / size
					params := words(uint32(len(image)), uint32(blocks), uint32(size), 0x1000)
					if !stub && chip == "esp32c3" {
						params = append(params, 0, 0, 0, 0)
					}
					h.want(beginOp, params, 0, ok)
					for seq := range blocks {
						p := payload[seq*size : min((seq+1)*size, len(payload))]
						if !deflate {
							p = append(bytes.Clone(p), bytes.Repeat([]byte{0xFF}, size-len(p))...)
						}
						h.wantData(beginOp+1, uint32(seq), p, ok)
					}
					sum := md5.Sum(image)
					got := h.ask(SPIFlashMD5, words(0x1000, uint32(len(image)), 0, 0))
					want := append(sum[:], 0, 0)
					if !stub {
						want = []byte(hex.EncodeToString(sum[:]))
					}
					if !bytes.HasPrefix(got.data, want) {
						t.Errorf("MD5 reply % x, want % x", got.data, want)
					}
					flash := c.Flash()
					if !bytes.Equal(flash[0x1000:0x1000+len(image)], image) {
						t.Error("the flash does not hold the image")
					}
					behind := byte(0xFF)
					if deflate && !stub && chip == "esp32" {
						behind = 0 // its ROM ends with the whole inflate window
					}
					if flash[0xFFF] != 0 || flash[0x6000] != 0 || flash[0x1000+len(image)] != behind {
						t.Error("more or less was erased than the sectors of the image")
					}
				})
			}
		}
	}
}

func TestReadFlash(t *testing.T) {
	contents := make([]byte, 10_000)
	for i := range contents {
		contents[i] = byte(i * 7)
	}
	_, h := rom(t, Config{Chip: "esp32", Flash: contents})
	h.want(SPIAttach, words(0, 0), 0, ok)
	if got := h.ask(ReadFlashSlow, words(100, 10)); !bytes.Equal(got.data[:10], contents[100:110]) || len(got.data) != 64+4 {
		t.Errorf("slow read: % x", got.data)
	}
	h.loadStub("esp32")
	h.want(ReadFlash, words(16, 9000, 0x1000, 2), 0, ok)
	var back []byte
	// Two packets are in flight before the first acknowledgement.
	back = append(back, h.frame()...)
	back = append(back, h.frame()...)
	for len(back) < 9000 {
		h.port.Write(slipEncode(words(uint32(len(back)))))
		back = append(back, h.frame()...)
	}
	h.port.Write(slipEncode(words(uint32(len(back)))))
	if !bytes.Equal(back, contents[16:9016]) {
		t.Error("the data read differs from the flash")
	}
	sum := md5.Sum(back)
	if got := h.frame(); !bytes.Equal(got, sum[:]) {
		t.Errorf("digest % x, want % x", got, sum)
	}
	h.want(EraseRegion, words(0, 0x1000), 0, ok)

	// A wrong acknowledgement ends the read.
	h.want(ReadFlash, words(0, 0x4000, 0x1000, 1), 0, ok)
	h.frame()
	h.port.Write(slipEncode([]byte{1}))
	if got := h.frame(); len(got) != md5.Size {
		t.Errorf("after a bad acknowledgement: % x", got)
	}
	h.want(EraseRegion, words(0, 0x1000), 0, ok)
}

func TestStubAnswersSyncWithValueZero(t *testing.T) {
	_, h := rom(t, Config{Chip: "esp32"})
	h.loadStub("esp32")
	h.send(Sync, 0, syncData)
	for range 8 {
		if got := h.reply(); got.value != 0 || !bytes.Equal(got.data, []byte{0, 0}) {
			t.Fatalf("%+v", got)
		}
	}
}
