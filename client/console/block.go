package console

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// block is some lines on a terminal that are redrawn in place. When a method returns,
// the cursor is visible and on the line below, so that the terminal is in order however
// the program ends.
//
// Each drawing is one write, so that the terminal never shows half of it. Lines are cut
// at the right edge, and their number at the height of the screen, because a line that
// has scrolled away cannot be redrawn. Terminals move lines in different ways when their
// size changes; then the screen is cleared.
type block struct {
	out  io.Writer
	size func() (width, height int)
	// beside: standard error is a terminal, too, most likely this one.
	beside bool

	lines         []string // the last drawing
	width, height int
}

const (
	hideCursor, showCursor = "\x1b[?25l", "\x1b[?25h"
	wrapOff, wrapOn        = "\x1b[?7l", "\x1b[?7h" // for characters that are wider than they count
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

// draw draws the lines that fit returns for the terminal's size: not longer than width
// and fewer than height.
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

// print calls lines, which writes whole lines to the same terminal, and keeps the block
// below them.
func (b *block) print(lines func()) {
	b.write(b.above() + clearBelow)
	lines()
	b.write(b.text())
}

func (b *block) write(text string) {
	_, _ = io.WriteString(b.out, hideCursor+wrapOff+text+wrapOn+showCursor) // a closed terminal cannot be reported
}
