package sandbox

import (
	"fmt"
	"sync"
	"unicode/utf8"
)

// output passes lines to one receiver, and keeps to a cap: it passes the head of
// a long output as it comes and its tail at the end, because the error that ends
// a build is usually among the last lines.
type output struct {
	emit      func(Line)
	lineBytes int
	paths     *localPaths

	mu   sync.Mutex // held while emit runs: one call at a time
	head int64      // bytes that may still be passed at once
	last string     // the last line on stderr, to explain a failed start

	tail         []Line // lines after the head, the oldest first
	tailBytes    int64
	tailCap      int64
	dropped      int // lines between head and tail
	droppedBytes int64
}

// newOutput returns an output that keeps to the limits. workspace is the path of
// the job's directory as the command sees it.
func newOutput(l Limits, workspace string, emit func(Line)) *output {
	if emit == nil {
		emit = func(Line) {}
	}
	if l.OutputBytes <= 0 {
		l.OutputBytes = DefaultOutputBytes
	}
	if l.LineBytes <= 0 {
		l.LineBytes = DefaultLineBytes
	}
	tail := l.OutputBytes / 4
	return &output{
		emit: emit, lineBytes: max(l.LineBytes, utf8.UTFMax), paths: newLocalPaths(workspace),
		head: l.OutputBytes - tail, tailCap: tail,
	}
}

// line takes one line: valid UTF-8 of at most lineBytes.
func (o *output) line(stream, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if stream == Stderr {
		o.last = text
	}
	line := Line{Stream: stream, Text: text}
	cost := lineCost(line)
	if cost <= o.head && o.tail == nil && o.dropped == 0 {
		o.head -= cost
		o.emit(line)
		return
	}
	o.tail = append(o.tail, line)
	o.tailBytes += cost
	for o.tailBytes > o.tailCap {
		if o.dropped == 0 {
			o.emit(Line{Stream: Stderr, Text: "farforge: the output is long; its last lines follow at the end"})
		}
		cost := lineCost(o.tail[0])
		o.tail = o.tail[1:]
		o.tailBytes -= cost
		o.dropped++
		o.droppedBytes += cost
	}
}

func lineCost(l Line) int64 { return int64(len(l.Text)) + 1 }

// finish passes the tail, after the last line.
func (o *output) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dropped > 0 {
		o.emit(Line{Stream: Stderr, Text: fmt.Sprintf("farforge: %d lines (%d bytes) are left out here", o.dropped, o.droppedBytes)})
	}
	for _, line := range o.tail {
		o.emit(line)
	}
	o.tail = nil
}

// lastStderr returns the last line on stderr.
func (o *output) lastStderr() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}
