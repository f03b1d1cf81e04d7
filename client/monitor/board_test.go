package monitor_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/client/monitor"
	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// TestWatchASimulatedBoard starts a chip without firmware in its loader, resets it by the
// user's keys, and waits for the ROM's messages.
func TestWatchASimulatedBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chip, err := simulator.New(simulator.Config{Chip: "esp32c3"})
		if err != nil {
			t.Fatal(err)
		}
		port := chip.Port()
		defer port.Close()
		if err := flash.EnterLoader(t.Context(), port); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		watch := func(keys, text string) {
			err := monitor.Run(t.Context(), port, monitor.Options{
				Out: &out, In: strings.NewReader(keys),
				Until: monitor.Until{Text: text}, For: 10 * time.Second,
			})
			if err != nil {
				t.Errorf("%v; the board said %q", err, out.String())
			}
		}
		watch("", "waiting for download")
		out.Reset()
		watch("\x14r", "invalid header: 0xffffffff")
		for _, want := range []string{"--- resetting the board\n", "SPI_FAST_FLASH_BOOT"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in %q", want, out.String())
			}
		}
	})
}
