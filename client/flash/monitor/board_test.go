package monitor_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/client/flash"
	"github.com/farforge/farforge/client/flash/monitor"
	"github.com/farforge/farforge/client/flash/simulator"
)

// TestWatchASimulatedBoard resets a chip without firmware by the user's keys and
// waits for what its ROM says then.
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
		err = monitor.Run(t.Context(), port, monitor.Options{
			Out: &out, In: strings.NewReader("\x14r"),
			Until: monitor.Until{Text: "invalid header: 0xffffffff"}, For: 10 * time.Second,
		})
		if err != nil {
			t.Errorf("%v; the board said %q", err, out.String())
		}
		for _, want := range []string{"waiting for download\n", "--- resetting the board\n", "SPI_FAST_FLASH_BOOT"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in %q", want, out.String())
			}
		}
	})
}
