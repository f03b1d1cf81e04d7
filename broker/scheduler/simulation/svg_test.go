package simulation

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// The size of a plot in pixels, and the space around its axes.
const (
	plotWidth, plotHeight = 640, 400
	plotLeft, plotRight   = 70, 20
	plotTop, plotBottom   = 20, 50
)

var colors = []string{"#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d"}

// line is one line of a plot: a value for each load.
type line struct {
	name   string
	values []float64
}

// svg draws lines over the loads on a logarithmic scale.
func svg(title string, lines []line) string {
	low, high := math.Inf(1), math.Inf(-1)
	for _, l := range lines {
		for _, v := range l.values {
			low, high = min(low, v), max(high, v)
		}
	}
	low, high = math.Floor(math.Log10(low)*4)/4, math.Ceil(math.Log10(high)*4)/4
	x := func(load float64) float64 {
		return plotLeft + (load-loads[0])/(loads[len(loads)-1]-loads[0])*(plotWidth-plotLeft-plotRight)
	}
	y := func(v float64) float64 {
		return plotHeight - plotBottom - (math.Log10(v)-low)/max(high-low, 1e-9)*(plotHeight-plotTop-plotBottom)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, plotHeight)
	for tick := low; tick <= high+1e-9; tick += 0.25 {
		v := math.Pow(10, tick)
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.3g</text>`+"\n",
			plotLeft, y(v), plotWidth-plotRight, plotLeft-6, y(v)+4, v)
	}
	for _, load := range loads {
		fmt.Fprintf(&b, `<path d="M%.1f %dV%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%.0f %%</text>`+"\n",
			x(load), plotTop, plotHeight-plotBottom, x(load), plotHeight-plotBottom+16, 100*load)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">load</text>`+"\n", plotWidth/2, plotHeight-12)
	fmt.Fprintf(&b, `<text x="16" y="%d" text-anchor="middle" transform="rotate(-90 16 %d)">%s</text>`+"\n", plotHeight/2, plotHeight/2, title)
	for i, l := range lines {
		color := colors[i%len(colors)]
		var points []string
		for k, v := range l.values {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(loads[k]), y(v)))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, x(loads[k]), y(v), color)
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s"/>`, strings.Join(points, " "), color)
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", plotLeft+10, plotTop+14+14*i, color, l.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// draw writes a plot of one value of each policy.
func draw(table map[string][]Summary, name string, of func(Summary) float64, file string) error {
	var lines []line
	for _, c := range contenders {
		l := line{name: c.name}
		for _, s := range table[c.name] {
			l.values = append(l.values, of(s))
		}
		lines = append(lines, l)
	}
	if err := os.WriteFile(file, []byte(svg(name+", seconds from arrival to success", lines)), 0o644); err != nil {
		return fmt.Errorf("plot %s: %w", file, err)
	}
	return nil
}
