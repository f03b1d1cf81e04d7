package console

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// table returns the lines of a table whose first row is its head. Text is aligned to
// the left, amounts to the right.
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

// tableWithin is table for a terminal of this width. It breaks text into several lines
// and, where the amounts alone are too wide, writes each row as a list. Amounts stay in
// one line, aligned to the right if right is set. It returns the lines of each row.
func tableWithin(rows [][]string, width int, right bool, amounts ...int) [][]string {
	widths := make([]int, len(rows[0]))
	total := 2 * (len(widths) - 1)
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		total += widths[i]
	}
	for ; total > width; total-- {
		widest := -1
		for i, w := range widths {
			if !slices.Contains(amounts, i) && w > minText && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return list(rows, width)
		}
		widths[widest]--
	}
	groups := make([][]string, len(rows))
	for n, row := range rows {
		cells := make([][]string, len(row))
		height := 0
		for i, text := range row {
			cells[i] = wrap(text, widths[i])
			height = max(height, len(cells[i]))
		}
		for k := range height {
			var b strings.Builder
			for i, lines := range cells {
				text := ""
				if k < len(lines) {
					text = lines[k]
				}
				if right && slices.Contains(amounts, i) {
					text = strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)) + text
				}
				b.WriteString(pad(text, widths[i]+2))
			}
			groups[n] = append(groups[n], strings.TrimRight(b.String(), " "))
		}
	}
	return groups
}

// minText is the least width of a column of text.
const minText = 8

// list writes each row below its first cell, with the heads before the others.
func list(rows [][]string, width int) [][]string {
	groups := [][]string{nil}
	for _, row := range rows[1:] {
		var parts []string
		for i, text := range row[1:] {
			if text = strings.TrimSpace(rows[0][i+1] + " " + text); text != "" {
				parts = append(parts, text)
			}
		}
		group := wrap(row[0], width)
		for _, line := range wrap(strings.Join(parts, ", "), max(width-2, 1)) {
			group = append(group, "  "+line)
		}
		groups = append(groups, group)
	}
	return groups
}

// wrap breaks a text into lines, behind blanks and commas where it has some.
func wrap(text string, width int) (lines []string) {
	rest := []rune(text)
	for len(rest) > width {
		end := width
		for i := width; i > 0; i-- {
			if rest[i] == ' ' || rest[i-1] == ',' || rest[i-1] == ' ' {
				end = i
				break
			}
		}
		lines = append(lines, strings.TrimRight(string(rest[:end]), " "))
		for rest = rest[end:]; len(rest) > 0 && rest[0] == ' '; {
			rest = rest[1:]
		}
	}
	return append(lines, string(rest))
}

// cell makes text of an agent fit for a table.
func cell(text string) string { return strings.ReplaceAll(Clean(text, false), "\t", " ") }
