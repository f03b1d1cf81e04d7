package simulator

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestErasedFlashPrintsInvalidHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, h := open(t, Config{Chip: "esp32c3", InvalidHeaderInterval: 100 * time.Millisecond})
		for range 8 {
			h.until("invalid header: 0xffffffff\r\n")
		}
		if took := time.Since(began); took != 700*time.Millisecond {
			t.Errorf("eight lines took %v, want 700ms", took)
		}
		h.until("rst:0x10 (RTCWDT_RTC_RST)")
		h.until("invalid header: 0xffffffff\r\n")
		h.port.Close()
	})
}

func TestBootStates(t *testing.T) {
	c3 := append(words(directBootMagic, directBootMagic), words(0x0000006F)...) // j .
	xtensa := append(make([]byte, 0x1000), goodImage(esp32())...)
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"secure boot refuses every image", Config{Chip: "esp32c3", Flash: c3, Misbehave: []Misbehavior{{Kind: SecureBoot}}}, "secure boot verification failed\r\n"},
		{"plain contents of an encrypted flash are noise", Config{Chip: "esp32c3", Flash: c3, Misbehave: []Misbehavior{{Kind: FlashEncryption}}}, "invalid header: 0x"},
		{"the same on an ESP32", Config{Chip: "esp32", Flash: xtensa, Misbehave: []Misbehavior{{Kind: FlashEncryption}}}, "invalid header: 0x"},
		{"an ESP32 says what it does not do", Config{Chip: "esp32", Flash: xtensa}, "the simulation does not run the code of this chip\r\n[simulation] 144 bytes at 0x1000, entry 0x40070008, 3 segments, SHA-256 verified\r\n"},
		{"segments are announced", Config{Chip: "esp32", Flash: xtensa}, "mode:DIO, clock div:2\r\nload:0x40070000,len:0x28\r\nload:0x40070400,len:0x4\r\nentry 0x40070008\r\n"},
		{"an unfed watchdog bites", Config{Chip: "esp32c3", Flash: c3}, "TG0WDT_SYS_RST"},
		{"the strap starts the loader", Config{Chip: "esp32", Strap: Download}, "boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\nwaiting for download\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, h := open(t, tt.cfg)
				h.until(tt.want)
				h.port.Close()
			})
		})
	}
}

// comesUp reads the next boot line and returns the mode in it.
func (h *host) comesUp() string {
	h.t.Helper()
	text := h.until("boot:0x")
	text += h.until("\r\n")
	if strings.Contains(text, "DOWNLOAD") {
		return "download"
	}
	return "flash"
}

func TestAutoResetCircuit(t *testing.T) {
	type lineStep struct{ dtr, rts bool }
	const pause = 50 * time.Millisecond
	for _, tt := range []struct {
		name  string
		steps []lineStep
		want  string // empty: no reset at all
	}{
		{"classic reset, one line at a time", []lineStep{{false, true}, {true, true}, {true, false}, {false, false}}, "download"},
		{"tight reset, both lines at once", []lineStep{{false, false}, {true, true}, {false, true}, {true, false}, {false, false}}, "download"},
		{"hard reset", []lineStep{{false, false}, {false, true}, {false, false}}, "flash"},
		{"hard reset that ends with both asserted", []lineStep{{false, true}, {true, true}}, "flash"},
		{"RTS with DTR asserted does nothing", []lineStep{{true, false}, {true, true}, {true, false}}, ""},
		{"opening and closing a port does nothing", []lineStep{{true, true}, {false, false}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, h := open(t, Config{Chip: "esp32", InvalidHeaderInterval: 3 * time.Hour})
				h.until("invalid header")
				for _, s := range tt.steps {
					if err := h.port.setLines(func(l *lines) { *l = lines(s) }); err != nil {
						t.Fatal(err)
					}
				}
				if tt.want == "" {
					time.Sleep(pause)
					synctest.Wait()
					h.until("\r\n")
					if h.text.Len() != 0 || !h.quiet() {
						t.Errorf("the chip was reset: %q", h.text.String())
					}
				} else if got := h.comesUp(); got != tt.want {
					t.Errorf("came up in %s, want %s", got, tt.want)
				}
				h.port.Close()
			})
		})
	}
}

func TestChipHeldInResetIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := open(t, Config{Chip: "esp32"})
		h.until("invalid header")
		h.port.SetDTR(false)
		h.port.SetRTS(true)
		synctest.Wait()
		h.port.ResetInputBuffer()
		h.port.Write(slipEncode([]byte{0, byte(Sync), 0, 0}))
		if !h.quiet() {
			t.Error("a chip in reset talks")
		}
		h.port.Close()
	})
}

func TestWaysBackToTheApplication(t *testing.T) {
	wdt := esp32c3().wdt
	for _, tt := range []struct {
		name  string
		leave func(h *host)
		want  string
	}{
		{"ROM FLASH_END, reboot", func(h *host) { h.want(FlashEnd, words(0), 0, ok) }, "rst:0x3 (RTC_SW_SYS_RST),boot:0xc"},
		{"ROM FLASH_END, run", func(h *host) { h.want(FlashEnd, words(1), 0, ok) }, "boot:0xc"},
		{"stub FLASH_END, reboot", func(h *host) {
			h.loadStub("esp32c3")
			h.want(FlashBegin, words(0, 0, 0x4000, 0), 0, ok)
			h.want(FlashEnd, words(0), 0, ok)
		}, "rst:0x3 (RTC_SW_SYS_RST),boot:0xc"},
		{"stub RUN_USER_CODE", func(h *host) {
			h.loadStub("esp32c3")
			h.send(RunUserCode, 0, nil)
		}, "boot:0xc"},
		{"RTC watchdog", func(h *host) {
			h.write(wdt.protect, wdtKey)
			h.write(wdt.config1, 2000)
			h.write(wdt.config0, 1<<31|5<<28|1<<8|2)
			h.write(wdt.protect, 0)
		}, "rst:0x10 (RTCWDT_RTC_RST),boot:0xc"},
		{"MEM_END to nowhere", func(h *host) {
			h.want(MemBegin, words(4, 1, 0x1800, 0x3FC90000), 0, ok)
			h.wantData(MemData, 0, []byte("abcd"), ok)
			h.want(MemEnd, words(0, 0x3FC90004), 0, ok)
		}, "rst:0x10 (RTCWDT_RTC_RST),boot:0xc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, h := rom(t, Config{Chip: "esp32c3"})
				tt.leave(h)
				h.text.Write(h.held) // what followed the last frame
				h.until(tt.want)
				h.until("invalid header: 0xffffffff\r\n")
				h.port.Close()
			})
		})
	}
}

func TestWatchdogIsWriteProtected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := rom(t, Config{Chip: "esp32"})
		h.write(esp32().wdt.config0, 1<<31)
		if !h.quiet() {
			t.Error("the watchdog was started without its key")
		}
		h.port.Close()
	})
}

func TestStubStaysAfterFlashEndWithoutReboot(t *testing.T) {
	_, h := rom(t, Config{Chip: "esp32"})
	h.loadStub("esp32")
	h.want(FlashBegin, words(0, 0, 0x4000, 0), 0, ok)
	h.want(FlashEnd, words(1), 0, ok)
	h.want(EraseRegion, words(0, 0x1000), 0, ok)
}
