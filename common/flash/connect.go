package flash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/farforge/farforge/common/flash/chips"
)

// Options describe a connection. The zero value suits most boards.
type Options struct {
	// Chip is the expected chip, such as "esp32c3". Empty or "auto" means any.
	Chip string
	// Before is the way into the loader.
	Before Before
	// PortBaud is the rate that the port was opened with; zero means DefaultBaud.
	PortBaud int
	// Baud is the rate after the chip has answered. Zero means no change. A port
	// without a rate (a socket) ignores it.
	Baud int
	// Timeout bounds the search for a loader. Zero means ten seconds.
	Timeout time.Duration
	// Log receives debug messages and warnings. Nil discards them.
	Log *slog.Logger
}

// Connect finds the loader of the chip on port and identifies the chip. It does not
// change the flash. The caller keeps the port, also after an error, and closes it.
func Connect(ctx context.Context, port Port, o Options) (*Device, error) {
	if o.PortBaud == 0 {
		o.PortBaud = DefaultBaud
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.PortBaud < 0 || o.Baud < 0 {
		return nil, &Error{Kind: KindOption, Msg: "a baud rate must be above zero"}
	}
	if o.Chip == "auto" {
		o.Chip = ""
	}
	if _, known := chips.ByName(o.Chip); o.Chip != "" && !known {
		return nil, &Error{Kind: KindOption, Msg: fmt.Sprintf("chip %q cannot be flashed", o.Chip), Hint: "known chips are " + chipNames()}
	}
	l, err := newLink(port)
	if err != nil {
		return nil, &Error{Kind: KindPort, Msg: "the port cannot be used", Err: err}
	}
	d := &Device{link: l, port: port, log: o.Log, before: o.Before, status: statusSize, opened: o.PortBaud, baud: o.PortBaud}
	if err := d.connect(ctx, o); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Device) connect(ctx context.Context, o Options) error {
	if err := d.findLoader(ctx, o); err != nil {
		return err
	}
	if err := d.identify(ctx, o.Chip); err != nil {
		return err
	}
	if o.Baud != 0 && o.Baud != d.baud {
		return d.setBaud(ctx, o.Baud)
	}
	return nil
}

const stepFind = "looking for the loader"

// findLoader resets the chip and sends SYNC, round by round, until the chip answers or
// the time is up. The rounds alternate the reset's timing, as boards differ in the
// capacitor at their EN pin.
func (d *Device) findLoader(ctx context.Context, o Options) error {
	lines, ok := d.port.(modemLines)
	var rounds [][]move
	switch {
	case !ok || o.Before == NoReset:
		rounds = [][]move{nil}
	case o.Before == USBReset || isUSBSerialJTAG(d.port):
		rounds = [][]move{usbReset()}
	default:
		rounds = [][]move{classicReset(50 * time.Millisecond), classicReset(550 * time.Millisecond), usbReset()}
	}
	until, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	for n := 0; ; n++ {
		err := play(until, lines, rounds[n%len(rounds)], stepFind)
		if err == nil {
			err = d.sync(until, stepFind)
		}
		switch {
		case err == nil:
			d.log.Debug("the loader answers", "round", n+1)
			return nil
		case ctx.Err() == nil && downloadDisabled(d.link.heard()):
			return &Error{Kind: KindSecurity, Msg: "the board's eFuses disable its download mode, so it cannot be flashed over its serial port",
				Hint: "use the update method of the firmware that runs on it, or another board"}
		case ctx.Err() != nil:
			return canceled(ctx, stepFind)
		case until.Err() != nil:
			return d.noLoader(o.Timeout)
		case !IsKind(err, KindSilent) && !IsKind(err, KindGarbled):
			return err
		}
	}
}

// noLoader returns the error for a missing loader. It guesses from the received bytes
// what the board does instead.
func (d *Device) noLoader(after time.Duration) error {
	e := &Error{Kind: KindNoLoader, Hint: hintBoot}
	heard := d.link.heard()
	switch {
	case len(heard) == 0:
		e.Msg = fmt.Sprintf("no board answered on the port in %s, and nothing was received from it", after)
		e.Hint = "check the cable and the port; then " + hintBoot
	case strings.HasSuffix(strings.TrimSpace(string(heard)), "waiting for download"):
		e.Msg = "the board is in download mode, but does not receive data"
		e.Hint = "check the wire to the board's RX pin, and try another cable or port"
	case printable(heard):
		e.Msg = "the board runs its firmware instead of its loader; it printed " + quote(heard)
	default:
		e.Msg = "the bytes from the port are not an answer of a loader: " + quote(heard)
		e.Hint = "check that it is the board's port, and try another cable; then " + hintBoot
	}
	return e
}

// downloadDisabled reports whether the ROM printed that its download mode is disabled.
func downloadDisabled(heard []byte) bool {
	return bytes.Contains(heard, []byte("Download boot modes disabled")) || bytes.Contains(heard, []byte("Download mode is disabled"))
}

// printable reports whether b is mostly text.
func printable(b []byte) bool {
	text := 0
	for _, c := range b {
		if c >= ' ' && c < 0x7F || c == '\r' || c == '\n' || c == '\t' {
			text++
		}
	}
	return text*10 >= len(b)*9
}

// quote shows the end of the received bytes, the newest, in a form that is safe for a
// terminal.
func quote(b []byte) string {
	const most = 60
	dots := ""
	if len(b) > most {
		b, dots = b[len(b)-most:], "…"
	}
	return dots + fmt.Sprintf("%q", b)
}

func chipNames() string {
	var names []string
	for _, c := range chips.All() {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}
