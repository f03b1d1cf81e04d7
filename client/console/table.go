package console

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// table returns the lines of a table whose first row is its head. Columns are
// aligned to the left, amounts to the right.
func table(rows [][]string, amounts ...int) []string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, len(rows))
	for n, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			if slices.Contains(amounts, i) {
				cell = strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + cell
			}
			b.WriteString(pad(cell, widths[i]+2))
		}
		lines[n] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// cell is text from elsewhere that is to stand in a table.
func cell(text string) string { return strings.ReplaceAll(Clean(text, false), "\t", " ") }
