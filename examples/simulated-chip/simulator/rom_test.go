package simulator

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// beginFor builds the data of a BEGIN for a chip.
func beginFor(chip string, w ...uint32) []byte {
	if modelMust(chip).beginSize == 20 {
		w = append(w, 0)
	}
	return words(w...)
}

func modelMust(chip string) *model {
	m, err := modelOf(chip)
	if err != nil {
		panic(err)
	}
	return m
}

// TestROMAnswersAsMeasured lists the answers of the mask ROMs of an ESP32-C3 and an ESP32
// that differ from what a careful loader would answer.
func TestROMAnswersAsMeasured(t *testing.T) {
	zipped := deflated(bytes.Repeat([]byte{0xA5, 1, 2}, 3000)) // 9000 bytes
	wrong := func(op Opcode, number uint32, payload []byte) step {
		st := data(op, number, payload, romBadChecksum)
		st.sum ^= 1
		return st
	}
	const ram = 0x3FFB0000 // of both chips, or of none: the ROM does not check
	for _, tt := range []struct {
		name  string
		steps func(begin func(op Opcode, w ...uint32) step) []step
	}{
		{"FLASH_DATA without BEGIN", func(func(Opcode, ...uint32) step) []step {
			return []step{data(FlashData, 0, block, ok)}
		}},
		{"deflated data without BEGIN", func(func(Opcode, ...uint32) step) []step {
			return []step{data(FlashDeflData, 0, zipped, romInvalidMessage)}
		}},
		{"deflated data in a plain write", func(begin func(Opcode, ...uint32) step) []step {
			return []step{begin(FlashBegin, 0x400, 1, 0x400, 0), data(FlashDeflData, 0, block, romInvalidMessage)}
		}},
		{"BEGIN before SPI_ATTACH", func(begin func(Opcode, ...uint32) step) []step {
			return []step{begin(FlashBegin, 0x400, 1, 0x400, 0)}
		}},
		{"SPI_ATTACH with 4 bytes", func(func(Opcode, ...uint32) step) []step {
			return []step{{SPIAttach, words(0), 0, ok}}
		}},
		{"SPI_SET_PARAMS with size 0", func(func(Opcode, ...uint32) step) []step {
			return []step{{SPISetParams, words(0, 0, 0, 0, 0, 0), 0, ok}}
		}},
		{"BEGIN at an offset that is not a multiple of the sector", func(begin func(Opcode, ...uint32) step) []step {
			unaligned := begin(FlashBegin, 0x400, 1, 0x400, 0x200)
			unaligned.code = romFailedToAct
			return []step{unaligned}
		}},
		{"first block with number 1", func(begin func(Opcode, ...uint32) step) []step {
			return []step{begin(FlashBegin, 0x800, 2, 0x400, 0), data(FlashData, 1, block, ok), data(FlashData, 2, block, ok)}
		}},
		{"first block with number 2", func(begin func(Opcode, ...uint32) step) []step {
			return []step{begin(FlashBegin, 0x800, 2, 0x400, 0), data(FlashData, 2, block, romInvalidMessage)}
		}},
		{"a block shorter than announced", func(begin func(Opcode, ...uint32) step) []step {
			return []step{begin(FlashBegin, 0x400, 1, 0x400, 0), data(FlashData, 0, block[:0x3FF], romInvalidMessage)}
		}},
		{"one block more than announced", func(begin func(Opcode, ...uint32) step) []step {
			return []step{begin(FlashBegin, 0x400, 1, 0x400, 0), data(FlashData, 0, block, ok), data(FlashData, 1, block, ok)}
		}},
		{"data over flash that is not erased", func(begin func(Opcode, ...uint32) step) []step {
			return []step{begin(FlashBegin, 0x400, 1, 0x400, 0), data(FlashData, 0, make([]byte, 0x400), ok),
				begin(FlashBegin, 0, 1, 0x400, 0), data(FlashData, 0, block, ok)}
		}},
		{"a block beyond the flash", func(begin func(Opcode, ...uint32) step) []step {
			steps := []step{begin(FlashBegin, 0x1000, 4, 0x400, 4<<20-0x1000)}
			for n := range uint32(4) {
				steps = append(steps, data(FlashData, n, block, ok))
			}
			return append(steps, data(FlashData, 4, block, romFailedToAct))
		}},
		{"deflated: more data than announced", func(begin func(Opcode, ...uint32) step) []step {
			return []step{begin(FlashDeflBegin, 0x1000, 1, 0x400, 0), data(FlashDeflData, 0, zipped, ok)}
		}},
		{"deflated: a stream without its end in the last block", func(begin func(Opcode, ...uint32) step) []step {
			return []step{begin(FlashDeflBegin, 0x1000, 1, 0x400, 0), data(FlashDeflData, 0, zipped[:20], romDeflate)}
		}},
		{"a wrong checksum, then the same number", func(begin func(Opcode, ...uint32) step) []step {
			return []step{begin(FlashBegin, 0x400, 1, 0x400, 0), wrong(FlashData, 0, block), data(FlashData, 0, block, romInvalidMessage)}
		}},
		{"a wrong checksum, then the next number", func(begin func(Opcode, ...uint32) step) []step {
			return []step{begin(FlashBegin, 0x400, 1, 0x400, 0), wrong(FlashData, 0, block), data(FlashData, 1, block, ok)}
		}},
		{"MEM_BEGIN to a bad address", func(func(Opcode, ...uint32) step) []step {
			return []step{{MemBegin, words(4, 1, 0x1800, 0x20000000), 0, ok}}
		}},
		{"surplus MEM_DATA", func(func(Opcode, ...uint32) step) []step {
			return []step{{MemBegin, words(4, 1, 0x1800, ram), 0, ok}, data(MemData, 0, []byte("abcd"), ok), data(MemData, 1, []byte("efgh"), ok)}
		}},
		{"MEM_DATA with a wrong checksum, then the same number", func(func(Opcode, ...uint32) step) []step {
			return []step{{MemBegin, words(4, 1, 0x1800, ram), 0, ok}, wrong(MemData, 0, []byte("abcd")), data(MemData, 0, []byte("abcd"), romInvalidMessage)}
		}},
		{"READ_REG with 8 bytes", func(func(Opcode, ...uint32) step) []step {
			return []step{{ReadReg, words(0x40001000, 0), 0, ok}}
		}},
		{"READ_REG of an unaligned address", func(func(Opcode, ...uint32) step) []step {
			return []step{{ReadReg, words(0x40001001), 0, ok}}
		}},
		{"WRITE_REG with 12 bytes", func(func(Opcode, ...uint32) step) []step {
			return []step{{WriteReg, words(0x60000100, 1, 0xFFFFFFFF), 0, ok}}
		}},
	} {
		for _, chip := range []string{"esp32c3", "esp32"} {
			t.Run(tt.name+"/"+chip, func(t *testing.T) {
				_, h := rom(t, Config{Chip: chip})
				begin := func(op Opcode, w ...uint32) step { return step{op, beginFor(chip, w...), 0, ok} }
				for _, s := range tt.steps(begin) {
					h.want(s.op, s.data, s.sum, s.code)
				}
			})
		}
	}
}

func TestROMAnswersToOddQuestions(t *testing.T) {
	contents := make([]byte, 4<<20)
	for i := range contents {
		contents[i] = byte(i * 31 >> 3)
	}
	for _, chip := range []string{"esp32c3", "esp32"} {
		t.Run(chip, func(t *testing.T) {
			_, h := rom(t, Config{Chip: chip, Flash: contents})
			for _, payload := range [][]byte{syncData[:20], bytes.Repeat([]byte{1}, 36)} {
				h.send(Sync, 0, payload)
				for range 8 {
					if got := h.reply(); got.op != Sync || got.data[0] != 0 {
						t.Errorf("SYNC with % x: %+v", payload, got)
					}
				}
			}
			digest := func(p []byte) []byte {
				sum := md5.Sum(p)
				return []byte(hex.EncodeToString(sum[:]))
			}
			// Before SPI_ATTACH, with 12 bytes, and beyond the flash.
			if got := h.ask(SPIFlashMD5, words(0x1000, 0x2000, 0)); !bytes.HasPrefix(got.data, digest(contents[0x1000:0x3000])) {
				t.Errorf("MD5 with 12 bytes: %q", got.data)
			}
			around := append(bytes.Clone(contents[4<<20-16:]), contents[:16]...)
			if got := h.ask(SPIFlashMD5, words(4<<20-16, 32, 0, 0)); !bytes.HasPrefix(got.data, digest(around)) {
				t.Errorf("MD5 beyond the flash: %q", got.data)
			}
			for _, n := range []uint32{0, 64, 65} {
				if got := h.ask(ReadFlashSlow, words(0x100, n)); len(got.data) != 68 || !bytes.HasPrefix(got.data, contents[0x100:0x140]) {
					t.Errorf("a slow read of %d bytes: % x", n, got.data)
				}
			}
			if got := h.ask(ReadFlashSlow, words(4<<20-32, 64)); len(got.data) != 68 {
				t.Errorf("a slow read beyond the end: % x", got.data)
			}
		})
	}
}

// TestROMDoesNotLookAtTheSizeField sends READ_REG with a size that is 4 too many
// and one that is 2 too few.
func TestROMDoesNotLookAtTheSizeField(t *testing.T) {
	for _, chip := range []string{"esp32c3", "esp32"} {
		_, h := rom(t, Config{Chip: chip})
		for _, size := range []byte{8, 2} {
			h.port.Write(slipEncode([]byte{0, byte(ReadReg), size, 0, 0, 0, 0, 0, 0, 0x10, 0, 0x40}))
			if got := h.reply(); got.op != ReadReg || got.data[0] != 0 {
				t.Errorf("%s: size %d: %+v", chip, size, got)
			}
		}
	}
}

func TestROMLeavesStaleBytesInAnswers(t *testing.T) {
	_, h := rom(t, Config{Chip: "esp32"})
	h.send(Sync, 0, syncData)
	for range 8 {
		h.reply()
	}
	if got := h.ask(SPIAttach, words(0, 0)); got.value != syncValue || !bytes.Equal(got.data, []byte{0, 5, 0x37, 0x39}) {
		t.Errorf("ESP32: %+v", got)
	}
	_, h = rom(t, Config{Chip: "esp32c3"})
	h.ask(ReadReg, words(0x40001000))
	info := h.ask(ReadFlashSlow, words(0, 64)) // ends with FF FF
	if got := h.ask(SPIAttach, words(0, 0)); got.value != 0x1B31506F || !bytes.Equal(got.data, []byte{0, 0, 0xFF, 0xFF}) {
		t.Errorf("ESP32-C3: %+v after %+v", got, info)
	}
}

func TestREADREGWithoutAnAddressResetsTheChip(t *testing.T) {
	for _, chip := range []string{"esp32c3", "esp32"} {
		_, h := rom(t, Config{Chip: chip})
		h.port.SetDTR(false)
		h.port.SetRTS(false)
		h.send(ReadReg, 0, nil)
		h.until("SPI_FAST_FLASH_BOOT")
	}
}

// TestDeflatedWriteEndsWithTheWindow writes a deflated stream that ends: an ESP32
// also writes what its inflate window held.
func TestDeflatedWriteEndsWithTheWindow(t *testing.T) {
	for _, tt := range []struct {
		chip    string
		at      uint32
		size    int
		changed uint32 // the end of what is not FF or not as before
		code    errCode
	}{
		{"esp32", 0x1000, 208, 0x9000, ok},
		{"esp32", 0x50000, 64 << 10, 0x68000, ok},
		{"esp32c3", 0x1000, 208, 0x2000, ok},
		{"esp32c3", 0x50000, 64 << 10, 0x60000, ok},
		{"esp32", 4<<20 - 0x1000, 208, 4 << 20, romFailedToAct},
	} {
		t.Run(fmt.Sprintf("%s/%#x", tt.chip, tt.at), func(t *testing.T) {
			before := bytes.Repeat([]byte{0x5A}, 4<<20)
			c, h := rom(t, Config{Chip: tt.chip, Flash: before})
			image := bytes.Repeat([]byte{0xA5}, tt.size)
			h.want(FlashDeflBegin, beginFor(tt.chip, uint32(tt.size), 1, 0x400, tt.at), 0, ok)
			h.wantData(FlashDeflData, 0, deflated(image), tt.code)
			if tt.code != ok {
				return
			}
			flash := c.Flash()
			if !bytes.Equal(flash[tt.at:int(tt.at)+tt.size], image) {
				t.Error("the image is not in flash")
			}
			if !bytes.Equal(flash[:tt.at], before[:tt.at]) || !bytes.Equal(flash[tt.changed:], before[tt.changed:]) {
				t.Error("the write changed more than it does on a chip")
			}
			if flash[tt.changed-1] == 0x5A {
				t.Error("the write changed less than it does on a chip")
			}
		})
	}
}

// TestDeflatedPieceOfAWholeWindow writes exactly a window, without the end of the
// stream and with one block too many announced: nothing else changes.
func TestDeflatedPieceOfAWholeWindow(t *testing.T) {
	for _, chip := range []string{"esp32", "esp32c3"} {
		before := bytes.Repeat([]byte{0x5A}, 4<<20)
		c, h := rom(t, Config{Chip: chip, Flash: before})
		piece := bytes.Repeat([]byte("piece "), inflateWindow)[:inflateWindow]
		h.want(FlashDeflBegin, beginFor(chip, inflateWindow, 2, 0x400, 0x10000), 0, ok)
		h.wantData(FlashDeflData, 0, flushed(piece), ok)
		want := bytes.Clone(before)
		copy(want[0x10000:], piece)
		if !bytes.Equal(c.Flash(), want) {
			t.Errorf("%s: the flash does not hold the piece and what it held before", chip)
		}
	}
}

// TestROMHangsBehindTheEndOfAStream sends surplus data in the last block, and a
// block after the last one.
func TestROMHangsBehindTheEndOfAStream(t *testing.T) {
	for _, tt := range [][][]byte{
		{append(deflated(block), 1, 2, 3)},
		{deflated(block), {1, 2, 3}},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, h := rom(t, Config{Chip: "esp32c3"})
			h.want(FlashDeflBegin, beginFor("esp32c3", 0x400, 2, 0x400, 0), 0, ok)
			for n, p := range tt {
				if n < len(tt)-1 {
					h.wantData(FlashDeflData, uint32(n), p, ok)
					continue
				}
				h.send(FlashDeflData, checksum(p), append(words(uint32(len(p)), uint32(n), 0, 0), p...))
			}
			h.send(Sync, 0, syncData)
			if !h.quiet() {
				t.Error("the chip answers")
			}
			h.port.SetReadTimeout(10 * time.Second)
			h.enterDownload()
			h.want(SPIAttach, words(0, 0), 0, ok)
			h.port.Close()
		})
	}
}

func TestDownloadModeDisabledByFuses(t *testing.T) {
	for chip, text := range map[string]string{"esp32": "Download boot modes disabled\r\n", "esp32c3": "Download mode is disabled\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			_, h := open(t, Config{Chip: chip, Strap: Download, Misbehave: []Misbehavior{{Kind: DownloadDisabled}}})
			h.until(text)
			h.send(Sync, 0, syncData)
			if !h.quiet() {
				t.Error("the chip answers")
			}
			h.port.Close()
		})
	}
}
