package flash_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

var bothChips = []string{"esp32", "esp32c3"}

// readUntil reads the console until it has printed want.
func readUntil(t *testing.T, r io.Reader, have []byte, want string) string {
	t.Helper()
	buf := make([]byte, 4096)
	for !bytes.Contains(have, []byte(want)) {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %q: %v; the board said %q", want, err, have)
		}
		have = append(have, buf[:n]...)
		if len(have) > 64<<10 {
			t.Fatalf("no %q in %q", want, have)
		}
	}
	return string(have)
}

func TestFlashVerifyReset(t *testing.T) {
	for _, chip := range bothChips {
		for _, plain := range []bool{false, true} {
			name := chip + map[bool]string{false: " deflated", true: " plain"}[plain]
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBoard(t, simulator.Config{Chip: chip})
					m, files := firmware(chip, 100_000)
					phases := map[flash.Phase]int{}
					last := -1
					w := flash.WriteOptions{Plain: plain, Progress: func(p flash.Progress) {
						phases[p.Phase]++
						if p.Written > p.Total || p.Phase == flash.Write && p.Index == 2 && p.Written < last {
							t.Errorf("progress %+v after %d", p, last)
						}
						if p.Index == 2 {
							last = p.Written
						}
					}}
					start := time.Now()
					res, tail, err := flashAll(t.Context(), b, flash.Options{Baud: 460800}, m, files, w)
					if err != nil {
						t.Fatal(err)
					}
					// Nothing but the reset's own pauses may take time here.
					if took := time.Since(start); took > time.Second {
						t.Errorf("took %s of the chip's time", took)
					}
					wantInFlash(t, b, m, files)
					if len(res.Regions) != 3 || res.Regions[2].Skipped {
						t.Fatalf("result %+v", res)
					}
					if app := res.Regions[2]; plain && app.Sent < app.Size || !plain && app.Sent > app.Size*2/3 {
						t.Errorf("%d bytes were sent for %d", app.Sent, app.Size)
					}
					if phases[flash.Erase] != 3 || phases[flash.Verify] != 3 || phases[flash.Done] != 3 {
						t.Errorf("phases %v", phases)
					}
					said := readUntil(t, b.port, tail, "SPI_FAST_FLASH_BOOT")
					if !strings.HasPrefix(strings.TrimLeft(said, "\r\n"), map[string]string{"esp32": "ets ", "esp32c3": "ESP-ROM:"}[chip]) {
						t.Errorf("the first words after the reset are not the ROM's: %q", said)
					}
				})
			})
		}
	}
}

func TestSecondFlashSkipsEqualRegions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, simulator.Config{Chip: "esp32c3"})
		m, files := firmware("esp32c3", 50_000)
		if _, _, err := flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		files["app.bin"].Data = makeImage("esp32c3", 51_000, true)
		res, _, err := flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []bool{true, true, false} {
			if res.Regions[i].Skipped != want {
				t.Errorf("%s: skipped is %t", res.Regions[i].Name, !want)
			}
		}
		wantInFlash(t, b, m, files)
		res, _, err = flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{Rewrite: true})
		if err != nil || res.Regions[0].Skipped {
			t.Errorf("rewriting: %+v, %v", res, err)
		}
	})
}

func TestInfo(t *testing.T) {
	for chip, want := range map[string]flash.Info{
		"esp32":   {Title: "ESP32", FlashSize: 4 << 20},
		"esp32c3": {Title: "ESP32-C3", FlashSize: 4 << 20},
	} {
		t.Run(chip, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard(t, simulator.Config{Chip: chip, MAC: []byte{2, 3, 4, 5, 6, 7}})
				d, err := flash.Connect(t.Context(), b.port, flash.Options{Chip: strings.ToUpper(want.Title)})
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				got := d.Info()
				if got.Chip != chip || got.Title != want.Title || got.FlashSize != want.FlashSize || got.MAC.String() != "02:03:04:05:06:07" {
					t.Errorf("got %+v", got)
				}
				if rev := got.Revision.String(); rev != map[string]string{"esp32": "v3.0", "esp32c3": "v0.3"}[chip] {
					t.Errorf("revision %s", rev)
				}
			})
		})
	}
}

// TestNoTimeIsLostOnAnESP32 bounds the time that an unknown GET_SECURITY_INFO takes.
func TestNoTimeIsLostOnAnESP32(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, simulator.Config{Chip: "esp32"})
		start := time.Now()
		d, err := flash.Connect(t.Context(), b.port, flash.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if took := time.Since(start); took > 300*time.Millisecond {
			t.Errorf("connecting took %s", took)
		}
	})
}

// linesless hides the modem lines and the rate, as a socket does.
type linesless struct{ p *simulator.Port }

func (l linesless) Read(b []byte) (int, error)           { return l.p.Read(b) }
func (l linesless) Write(b []byte) (int, error)          { return l.p.Write(b) }
func (l linesless) Close() error                         { return l.p.Close() }
func (l linesless) SetReadTimeout(t time.Duration) error { return l.p.SetReadTimeout(t) }

func TestPortWithoutLinesEndsWithASoftReset(t *testing.T) {
	for _, chip := range bothChips {
		t.Run(chip, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard(t, simulator.Config{Chip: chip, Strap: simulator.Download})
				// Opening asserts both lines; the user's cable has none. RTS alone
				// would be a reset, so it goes first.
				b.port.SetRTS(false)
				b.port.SetDTR(false)
				m, files := firmware(chip, 20_000)
				d, err := flash.Connect(t.Context(), linesless{b.port}, flash.Options{Baud: 921600})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := d.WriteMap(t.Context(), m, files, flash.WriteOptions{}); err != nil {
					t.Fatal(err)
				}
				if err := d.Finish(t.Context(), flash.HardReset); err != nil {
					t.Fatal(err)
				}
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				wantInFlash(t, b, m, files)
				readUntil(t, b.port, d.Tail(), "SPI_FAST_FLASH_BOOT")
			})
		})
	}
}
