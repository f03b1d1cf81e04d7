package flash

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/flash/chips"
)

// script is a port whose far end answers each request with prepared bytes, such as frames
// that are wrong in detail.
type script struct {
	answer func(op byte, data []byte) []byte

	mu     sync.Mutex
	asked  []byte // opcodes in order
	dec    slipDecoder
	out    chan []byte
	rest   []byte
	closed chan struct{}
	once   sync.Once
}

func newScript(answer func(op byte, data []byte) []byte) *script {
	return &script{answer: answer, out: make(chan []byte, 4096), closed: make(chan struct{})}
}

func (s *script) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var f []byte // the engine writes whole frames
	for _, c := range b {
		if whole, ok := s.dec.add(c); ok {
			f = whole
		}
	}
	s.asked = append(s.asked, f[1])
	s.out <- s.answer(f[1], f[headerSize:])
	return len(b), nil
}

func (s *script) Read(b []byte) (int, error) {
	for len(s.rest) == 0 {
		select {
		case s.rest = <-s.out:
		case <-s.closed:
			return 0, io.EOF
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *script) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *script) count(op byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Count(s.asked, []byte{op})
}

// frame builds an answer with its framing.
func frame(op byte, value uint32, payload ...byte) []byte {
	p := []byte{1, op, byte(len(payload)), byte(len(payload) >> 8)}
	p = binary.LittleEndian.AppendUint32(p, value)
	return slipEncode(append(p, payload...))
}

func ok(op byte, value uint32) []byte  { return frame(op, value, 0, 0, 0, 0) }
func bad(op byte, code byte) []byte    { return frame(op, 0, 1, code, 0, 0) }
func times(n int, frame []byte) []byte { return bytes.Repeat(frame, n) }
func syncs() []byte                    { return times(8, ok(opSync, 0x20120707)) }

// scripted makes a Device as Connect leaves it, on a scripted port.
func scripted(t *testing.T, answer func(op byte, data []byte) []byte) (*Device, *script) {
	t.Helper()
	s := newScript(answer)
	l, err := newLink(s)
	if err != nil {
		t.Fatal(err)
	}
	chip, _ := chips.ByName("esp32c3")
	d := &Device{link: l, port: s, log: slog.New(slog.DiscardHandler), chip: chip, status: statusSize, baud: 115200, opened: 115200}
	t.Cleanup(func() { d.Close() })
	return d, s
}

func TestReadRegSurvivesDisturbances(t *testing.T) {
	good := ok(opReadReg, 0xDBC0FFEE)
	for name, reply := range map[string][]byte{
		"clean":                   good,
		"text before":             append([]byte("boot text\r\n"), good...),
		"delimiter in text":       append([]byte("a\xC0b\xC0"), good...),
		"other opcode first":      append(ok(opSync, 0), good...),
		"its own request echoed":  append(slipEncode([]byte{0, opReadReg, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4}), good...),
		"wrong escape before":     append([]byte{0xC0, 0xDB, 0x01, 0xC0}, good...),
		"failed SYNC before":      append(bad(opSync, 5), good...),
		"a very long run of text": append(bytes.Repeat([]byte("x"), 5000), good...),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, _ := scripted(t, func(byte, []byte) []byte { return reply })
				got, err := registers{d, "reading"}.ReadReg(t.Context(), 0)
				if err != nil || got != 0xDBC0FFEE {
					t.Errorf("got 0x%x, %v", got, err)
				}
			})
		})
	}
}

func TestReadRegFails(t *testing.T) {
	for _, tc := range []struct {
		name  string
		reply []byte
		kind  Kind
		want  string
	}{
		{"nothing", nil, KindSilent, "no answer within 3s"},
		{"another opcode only", ok(opWriteReg, 1), KindSilent, "no answer"},
		{"header only", slipEncode([]byte{1, opReadReg, 4, 0, 0, 0, 0, 0}), KindGarbled, "cut short"},
		{"cut in the status", slipEncode([]byte{1, opReadReg, 4, 0, 0, 0, 0, 0, 0, 0}), KindGarbled, "cut short"},
		{"more data than it says", slipEncode([]byte{1, opReadReg, 4, 0, 0xEE, 0xFF, 0xC0, 0xDB, 0, 0, 0, 0, 9, 9}), KindGarbled, "longer than it says"},
		{"a byte doubled in its value", slipEncode([]byte{1, opReadReg, 4, 0, 1, 1, 2, 3, 4, 0, 0, 0, 0}), KindGarbled, "longer than it says"},
		{"never ended", bytes.TrimSuffix(ok(opReadReg, 1), []byte{slipEnd}), KindGarbled, "received"},
		{"two status bytes, as from a stub", frame(opReadReg, 1, 0, 0), KindGarbled, "not a valid length"},
		{"data where none belongs", frame(opReadReg, 1, 1, 2, 3, 4, 0, 0, 0, 0), KindGarbled, "not a valid length"},
		{"error code", bad(opReadReg, 6), KindRefused, "READ_REG with error 0x06, failed to act on received message"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, s := scripted(t, func(op byte, _ []byte) []byte {
					if op == opSync {
						return syncs()
					}
					return tc.reply
				})
				_, err := registers{d, "reading the thing"}.ReadReg(t.Context(), 0)
				if !IsKind(err, tc.kind) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "while reading the thing") {
					t.Errorf("got %v", err)
				}
				want := 1 + repeats
				if n := s.count(opReadReg); n != want {
					t.Errorf("asked %d times, want %d", n, want)
				}
			})
		})
	}
}

// TestOneLostAnswerIsAskedForAgain also shows that the line is flushed by a
// SYNC before: the late first answer must not be taken for the second.
func TestOneLostAnswerIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		d, s := scripted(t, func(op byte, _ []byte) []byte {
			if op == opSync {
				return append(ok(opReadReg, 111), syncs()...)
			}
			if n++; n == 1 {
				return nil
			}
			return ok(opReadReg, 222)
		})
		got, err := registers{d, "reading"}.readOnce(t.Context(), 0)
		if got != 222 || err != nil || s.count(opSync) != 1 {
			t.Errorf("got %d, %v after %d SYNCs", got, err, s.count(opSync))
		}
	})
}

func TestROMErrorNames(t *testing.T) {
	for code, name := range map[byte]string{
		5: "received message is invalid", 6: "failed to act on received message", 7: "invalid CRC in message",
		8: "flash write error", 9: "flash read error", 10: "flash read length error", 11: "deflate error", 12: "deflate checksum error",
		13: "deflate parameter error", 0x69: "insufficient storage", 0xC1: "bad data checksum, from a stub", 99: "not in its documentation",
	} {
		if (&ROMError{Code: code}).hint() == "" {
			t.Errorf("no hint for error %d", code)
		}
		if msg := (&ROMError{Op: opFlashData, Code: code}).Error(); !strings.Contains(msg, name) || !strings.Contains(msg, "FLASH_DATA") {
			t.Errorf("%d: %q", code, msg)
		}
	}
}

// writing writes blocks to a chip that takes them as a ROM does. If spoil returns an
// answer, the chip sends it and does not take the block. writing returns the contents of
// the flash.
func writing(t *testing.T, blocks int, spoil func(n int, number uint32) []byte) (got []byte, d *Device, s *script, err error) {
	n, next := 0, uint32(0)
	d, s = scripted(t, func(op byte, data []byte) []byte {
		switch op {
		case opSync:
			return syncs()
		case opFlashBegin:
			got, next = nil, 0
			return ok(op, 0)
		}
		number := binary.LittleEndian.Uint32(data[4:])
		n++
		if answer := spoil(n, number); answer != nil {
			if bytes.Equal(answer, bad(op, romInvalidCRC)) {
				next++ // the ROM counts the block
			}
			return answer
		}
		if number != next {
			return bad(op, romInvalidMessage)
		}
		next++
		got = append(got, data[16:]...)
		return ok(op, 0)
	})
	_, err = d.writePiece(t.Context(), "app", piece{0, codeBytes(blocks * blockSize)}, true, func(int) {})
	return got, d, s, err
}

// codeBytes are n bytes, no two blocks of which are alike.
func codeBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8 ^ i)
	}
	return b
}

// TestOneSpoiledBlockCostsOneBlock covers a block with a wrong checksum, one that never
// reaches the chip, and one whose answer is lost or spoiled.
func TestOneSpoiledBlockCostsOneBlock(t *testing.T) {
	for name, spoil := range map[string]func(n int, number uint32) []byte{
		"wrong checksum": func(n int, _ uint32) []byte {
			if n == 2 {
				return bad(opFlashData, romInvalidCRC)
			}
			return nil
		},
		"wrong checksum twice": func(n int, _ uint32) []byte {
			if n == 2 || n == 3 {
				return bad(opFlashData, romInvalidCRC)
			}
			return nil
		},
		"lost on its way": func(n int, _ uint32) []byte {
			if n == 2 {
				return []byte{}
			}
			return nil
		},
		"spoiled answer": func(n int, _ uint32) []byte {
			if n == 2 {
				return []byte{0xC0, 1, 3, 0xC0}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, _, s, err := writing(t, 4, spoil)
				if err != nil || !bytes.Equal(got, codeBytes(4*blockSize)) {
					t.Errorf("%v, and the flash got %d bytes, or others", err, len(got))
				}
				if begins, blocks := s.count(opFlashBegin), s.count(opFlashData); begins != 1 || blocks > 6 {
					t.Errorf("%d erases and %d blocks", begins, blocks)
				}
			})
		})
	}
}

// TestAnswerLostAfterTheBlockWasTaken loses the answer to a block that the chip has:
// it must not be written twice.
func TestAnswerLostAfterTheBlockWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []byte
		next, lost := uint32(0), false
		d, s := scripted(t, func(op byte, data []byte) []byte {
			if op == opSync {
				return syncs()
			}
			if op != opFlashData {
				return ok(op, 0)
			}
			if binary.LittleEndian.Uint32(data[4:]) != next {
				return bad(op, romInvalidMessage)
			}
			next++
			got = append(got, data[16:]...)
			if next == 2 && !lost {
				lost = true
				return nil
			}
			return ok(op, 0)
		})
		_, err := d.writePiece(t.Context(), "app", piece{0, codeBytes(3 * blockSize)}, true, func(int) {})
		if err != nil || !bytes.Equal(got, codeBytes(3*blockSize)) || s.count(opFlashBegin) != 1 {
			t.Errorf("%v after %d erases; the flash got %d bytes", err, s.count(opFlashBegin), len(got))
		}
	})
}

// TestSpoiledDeflatedBlockCostsItsPiece refuses a block of a deflated piece.
func TestSpoiledDeflatedBlockCostsItsPiece(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		d, s := scripted(t, func(op byte, data []byte) []byte {
			if op == opSync {
				return syncs()
			}
			if op == opDeflData {
				if n++; n == 1 {
					return bad(op, romInvalidCRC)
				}
			}
			return ok(op, 0)
		})
		_, err := d.writePiece(t.Context(), "app", piece{0, make([]byte, pieceSize)}, false, func(int) {})
		if err != nil || s.count(opDeflBegin) != 2 {
			t.Errorf("%v after %d erases", err, s.count(opDeflBegin))
		}
	})
}

// TestRateFallsOnABadLine refuses every third block for its checksum.
func TestRateFallsOnABadLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		d, s := scripted(t, func(op byte, data []byte) []byte {
			if op == opSync {
				return syncs()
			}
			if op == opFlashData {
				if n++; n%3 == 0 {
					return bad(op, romInvalidCRC)
				}
			}
			return ok(op, 0)
		})
		p := &ratedScript{script: s, baud: 921600}
		d.port, d.baud, d.known = p, 921600, true
		if _, err := d.writePiece(t.Context(), "app", piece{0, codeBytes(20 * blockSize)}, true, func(int) {}); err != nil {
			t.Error(err)
		}
		if d.baud >= 921600 || p.baud != d.baud {
			t.Errorf("the rate is %d, the port's %d", d.baud, p.baud)
		}
	})
}

// ratedScript is a script with a rate.
type ratedScript struct {
	*script
	baud int
}

func (p *ratedScript) SetBaudRate(baud int) error { p.baud = baud; return nil }

func TestSecurityInfoOfAnOldROM(t *testing.T) {
	for _, replies := range []int{8, 3} { // three: the others were lost
		synctest.Test(t, func(t *testing.T) {
			d, _ := scripted(t, func(op byte, data []byte) []byte {
				switch {
				case op == opSecurityInfo:
					return times(replies, bad(opSync, romInvalidMessage))
				case op == opReadReg && binary.LittleEndian.Uint32(data) == chips.MagicAddr:
					return ok(op, 0x00F01D83)
				}
				return ok(op, 0)
			})
			d.chip = nil
			start := time.Now()
			if err := d.identify(t.Context(), ""); err != nil || d.Info().Chip != "esp32" {
				t.Errorf("%v, %v", d.Info(), err)
			}
			if took := time.Since(start); took > 100*time.Millisecond {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestChipsThatCannotBeFlashed(t *testing.T) {
	info := func(id byte) []byte {
		b := make([]byte, 24)
		b[12] = id
		return frame(opSecurityInfo, 0, b...)
	}
	for _, tc := range []struct {
		name, want string
		answer     []byte
		magic      uint32
	}{
		{"unheard of", "an unknown chip (id 77)", info(77), 0},
		{"no id and a strange magic", "not supported (0x12345678)", frame(opSecurityInfo, 0, make([]byte, 16)...), 0x12345678},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, _ := scripted(t, func(op byte, _ []byte) []byte {
					if op == opSecurityInfo {
						return tc.answer
					}
					return ok(op, tc.magic)
				})
				if err := d.identify(t.Context(), ""); !IsKind(err, KindFirmware) || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestStubOfAnotherTool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(func(op byte, _ []byte) []byte { return frame(op, 0, 0, 0) })
		_, err := Connect(t.Context(), s, Options{})
		if !IsKind(err, KindNoLoader) || !strings.Contains(err.Error(), "stub") {
			t.Errorf("got %v", err)
		}
	})
}

func TestFlashThatDoesNotAnswer(t *testing.T) {
	for _, id := range []uint32{0, 0xFFFFFF} {
		if err := missingFlash(id); !IsKind(err, KindRefused) {
			t.Errorf("id 0x%x: %v", id, err)
		}
	}
}

// lostPort fails like a device that was unplugged.
type lostPort struct{}

func (p lostPort) Read(b []byte) (int, error) { return 0, errors.New("input/output error") }
func (p lostPort) Write(b []byte) (int, error) {
	return 0, errors.New("input/output error")
}
func (p lostPort) Close() error { return nil }

func TestUnpluggedBoard(t *testing.T) {
	_, err := Connect(t.Context(), lostPort{}, Options{})
	if !IsKind(err, KindPort) || !strings.Contains(err.Error(), "went away while looking for the loader") {
		t.Errorf("got %v", err)
	}
}

// stuckPort takes no bytes until it is closed.
type stuckPort struct{ *script }

func (p stuckPort) Write([]byte) (int, error) {
	<-p.closed
	return 0, io.ErrClosedPipe
}

func TestPortThatTakesNoBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := Connect(ctx, stuckPort{newScript(nil)}, Options{Timeout: time.Minute})
		if err == nil {
			t.Error("no error")
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func ExampleError() {
	err := error(&Error{Kind: KindSilent, Step: "writing app at 0x10000 (block 3 of 70)", Msg: "the chip went silent"})
	fmt.Println(err, IsKind(err, KindSilent))
	// Output: the chip went silent while writing app at 0x10000 (block 3 of 70) true
}
