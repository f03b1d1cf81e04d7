package console

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// block is some lines on a terminal that are drawn again in place. The cursor is
// always on the line below it, visible, when a method returns, so that nothing is
// to be restored however the program ends.
//
// Each drawing is one write: the terminal shows no half of it. Lines are cut at
// the right edge, and no more are drawn than there is room for, because a line that
// has left the screen cannot be drawn again. When the size changes, terminals
// disagree on where lines go; then the screen is cleared.
type block struct {
	out  io.Writer
	size func() (width, height int)
	// beside: standard error is a terminal, so likely the same.
	beside bool

	lines         []string // as drawn
	width, height int
}

const (
	hideCursor, showCursor = "\x1b[?25l", "\x1b[?25h"
	wrapOff, wrapOn        = "\x1b[?7l", "\x1b[?7h" // for what is wider than it counts
	clearLine, clearBelow  = "\x1b[K", "\x1b[J"
	home                   = "\x1b[H"
)

// above moves the cursor to the first line of the block.
func (b *block) above() string {
	if len(b.lines) == 0 {
		return "\r"
	}
	return fmt.Sprintf("\r\x1b[%dA", len(b.lines))
}

// draw draws what fit returns for the terminal's size: lines that are not longer
// than width, and fewer than height.
func (b *block) draw(fit func(width, height int) []string) {
	width, height := b.size()
	lines := fit(width, height)
	same := width == b.width && height == b.height
	if same && slices.Equal(lines, b.lines) {
		return
	}
	start := b.above()
	if !same && b.width != 0 {
		start = home + clearBelow
	}
	b.lines, b.width, b.height = lines, width, height
	b.write(start + b.text())
}

func (b *block) text() string {
	var text strings.Builder
	for _, line := range b.lines {
		text.WriteString(line + clearLine + "\n")
	}
	return text.String() + clearBelow
}

// print runs what writes whole lines to the same terminal, and puts them above the
// block.
func (b *block) print(lines func()) {
	b.write(b.above() + clearBelow)
	lines()
	b.write(b.text())
}

func (b *block) write(text string) {
	_, _ = io.WriteString(b.out, hideCursor+wrapOff+text+wrapOn+showCursor) // nobody is left to tell
}
