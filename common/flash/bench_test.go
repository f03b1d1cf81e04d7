package flash_test

import (
	"context"
	"testing"
	"time"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// paced passes bytes on at the line's rate, ten bits a byte, as a UART does. Without it
// the benchmark would measure the simulation.
type paced struct {
	*simulator.Port
	baud int
	free time.Time
}

func (p *paced) Write(b []byte) (int, error) {
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(len(b)) * 10 * time.Second / time.Duration(p.baud))
	time.Sleep(time.Until(p.free))
	return p.Port.Write(b)
}

func (p *paced) SetBaudRate(baud int) error {
	p.baud = baud
	return p.Port.SetBaudRate(baud)
}

// BenchmarkFlash writes 128 KiB that compress as code does to a simulated chip
// over a line of 921600 baud, deflated and plain, and reports how many bytes of
// firmware arrive in a second and the ratio of the two.
func BenchmarkFlash(b *testing.B) {
	const size = 128 << 10
	seconds := map[bool]float64{}
	for b.Loop() {
		for _, plain := range []bool{false, true} {
			brd := newBoard(b, simulator.Config{Chip: "esp32c3"})
			m, files := firmware("esp32c3", size)
			m.Images = m.Images[2:]
			d, err := flash.Connect(context.Background(), &paced{Port: brd.port, baud: flash.DefaultBaud}, flash.Options{Baud: 921600})
			if err != nil {
				b.Fatal(err)
			}
			res, err := d.WriteMap(context.Background(), m, files, flash.WriteOptions{Plain: plain, Rewrite: true})
			if err != nil {
				b.Fatal(err)
			}
			seconds[plain] += res.Took.Seconds()
			if err := d.Close(); err != nil {
				b.Fatal(err)
			}
			brd.port.Close()
		}
	}
	n := float64(size) * float64(b.N)
	b.ReportMetric(0, "ns/op") // the two ways together say nothing
	b.ReportMetric(n/seconds[false], "deflated-B/s")
	b.ReportMetric(n/seconds[true], "plain-B/s")
	b.ReportMetric(seconds[true]/seconds[false], "deflated/plain")
}
