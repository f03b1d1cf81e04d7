package simulator

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is a test's end of a Port: it sends requests and reads replies.
type host struct {
	t    *testing.T
	port *Port
	slip slipDecoder
	text bytes.Buffer // what came outside frames
	held []byte       // bytes read and not decoded yet
}

// answer is a decoded reply.
type answer struct {
	op    Opcode
	value uint32
	data  []byte // with the status
}

// open makes a chip and a host on its port. Every read has a deadline far above
// what the simulation needs, so that a test fails rather than hangs.
func open(t *testing.T, cfg Config) (*Chip, *host) {
	t.Helper()
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	chip, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	port := chip.Port()
	t.Cleanup(func() { port.Close() })
	port.SetReadTimeout(10 * time.Second)
	return chip, &host{t: t, port: port}
}

// enterDownload drives the lines as esptool's classic reset does.
func (h *host) enterDownload() {
	h.port.SetDTR(false)
	h.port.SetRTS(true)
	h.port.SetDTR(true)
	h.port.SetRTS(false)
	h.port.SetDTR(false)
	h.until("waiting for download\r\n")
}

// hardReset drives the lines as esptool does after flashing.
func (h *host) hardReset() {
	h.port.SetDTR(false)
	h.port.SetRTS(true)
	h.port.SetRTS(false)
}

// more reads what is there.
func (h *host) more() []byte {
	h.t.Helper()
	buf := make([]byte, 4096)
	n, err := h.port.Read(buf)
	if err != nil {
		h.t.Fatalf("read: %v (so far %q)", err, h.text.String())
	}
	if n == 0 {
		h.t.Fatalf("the chip sent nothing for 10 s (so far %q)", h.text.String())
	}
	return buf[:n]
}

// until reads console output up to and including want.
func (h *host) until(want string) string {
	h.t.Helper()
	for {
		if i := bytes.Index(h.text.Bytes(), []byte(want)); i >= 0 {
			return string(h.text.Next(i + len(want)))
		}
		if h.text.Len() > 8<<10 {
			h.t.Fatalf("the chip prints a lot, but not %q: %.400q…", want, h.text.String())
		}
		h.text.Write(h.more())
	}
}

// frame reads the next SLIP frame.
func (h *host) frame() []byte {
	h.t.Helper()
	for {
		for i, b := range h.held {
			if f, whole := h.slip.push(b); whole {
				h.held = h.held[i+1:]
				return f
			}
		}
		h.held = h.more()
	}
}

// send writes a request.
func (h *host) send(op Opcode, sum uint32, data []byte) {
	h.t.Helper()
	p := make([]byte, 8, 8+len(data))
	p[1] = byte(op)
	binary.LittleEndian.PutUint16(p[2:], uint16(len(data)))
	binary.LittleEndian.PutUint32(p[4:], sum)
	if _, err := h.port.Write(slipEncode(append(p, data...))); err != nil {
		h.t.Fatal(err)
	}
}

// reply reads the next reply.
func (h *host) reply() answer {
	h.t.Helper()
	f := h.frame()
	if len(f) < 10 || f[0] != 1 || int(binary.LittleEndian.Uint16(f[2:])) != len(f)-8 {
		h.t.Fatalf("not a reply: % x", f)
	}
	return answer{Opcode(f[1]), binary.LittleEndian.Uint32(f[4:]), f[8:]}
}

// ask sends a request and returns its reply.
func (h *host) ask(op Opcode, data []byte) answer {
	h.t.Helper()
	h.send(op, 0, data)
	return h.reply()
}

// words builds command data.
func words(w ...uint32) []byte {
	var p []byte
	for _, v := range w {
		p = binary.LittleEndian.AppendUint32(p, v)
	}
	return p
}

var syncData = append([]byte{0x07, 0x07, 0x12, 0x20}, bytes.Repeat([]byte{0x55}, 32)...)

func TestClassicResetEntersDownloadAndSyncAnswersEightTimes(t *testing.T) {
	for _, name := range []string{"esp32c3", "esp32"} {
		t.Run(name, func(t *testing.T) {
			_, h := open(t, Config{Chip: name})
			h.until("invalid header: 0xffffffff\r\n")
			h.enterDownload()
			h.send(Sync, 0, syncData)
			for range 8 {
				if a := h.reply(); a.op != Sync || a.value != 0x20120707 || len(a.data) != 4 || a.data[0] != 0 {
					t.Fatalf("sync reply: %+v", a)
				}
			}
			h.hardReset()
			h.until("SPI_FAST_FLASH_BOOT")
			h.until("invalid header: 0xffffffff\r\n")
		})
	}
}
