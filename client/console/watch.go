package console

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/farforge/farforge/common/api"
)

// AgentWatch shows changes of the agents: on a terminal it redraws the table in place,
// on a pipe it writes a new table after each change, and as JSON the changed agents. Its
// methods are not for concurrent use; those of the console may be called meanwhile.
type AgentWatch struct {
	c       *Console
	last    *Listing
	text    string // the last table on a pipe
	note    string
	written map[string]api.AgentInfo // the last JSON of each, by fingerprint
}

// WatchAgents returns a watch. The caller ends it with Close.
func (c *Console) WatchAgents() *AgentWatch {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.redraws {
		c.block = &block{out: c.stdout, size: c.screen, beside: isTerminal(c.stderr)}
	}
	return &AgentWatch{c: c, written: map[string]api.AgentInfo{}}
}

// screen returns the size of the terminal on standard output.
func (c *Console) screen() (width, height int) {
	if f, ok := c.stdout.(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && height > 1 {
			return width, height
		}
	}
	return 80, 24
}

// Close ends the watch and leaves the last table on the terminal.
func (w *AgentWatch) Close() {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.c.block = nil
}

// Count returns the count of the last listing, or nil.
func (w *AgentWatch) Count() *AgentCount {
	if w.last == nil {
		return nil
	}
	return w.last.Count()
}

// Show shows a new listing.
func (w *AgentWatch) Show(l *Listing) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.last = l
	switch {
	case w.c.json:
		w.writeChanges()
	case w.c.block != nil:
		w.c.block.draw(w.fit)
	default:
		w.print()
	}
}

// Redraw fits the table to the terminal after its size has changed.
func (w *AgentWatch) Redraw() {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	if w.c.block != nil && w.last != nil {
		w.c.block.draw(w.fit)
	}
}

// writeChanges writes the agents that have changed since the last listing. An agent that goes
// offline is written once more, also where offline agents are left out.
func (w *AgentWatch) writeChanges() {
	now := map[string]bool{}
	for i, a := range w.last.everyone {
		now[a.Fingerprint] = true
		old, known := w.written[a.Fingerprint]
		if known && same(old, a) || !known && i >= len(w.last.shown()) {
			continue
		}
		w.c.emit(agentEvent{"agent", a})
		w.written[a.Fingerprint] = a
	}
	for _, fingerprint := range slices.Sorted(maps.Keys(w.written)) {
		if !now[fingerprint] {
			w.c.emit(agentGoneEvent{"agent_gone", w.written[fingerprint].Name, fingerprint})
			delete(w.written, fingerprint)
		}
	}
}

// same compares all but the time at which the broker last saw the agent, because that
// always changes.
func same(a, b api.AgentInfo) bool {
	a.LastSeen, b.LastSeen = nil, nil
	return reflect.DeepEqual(a, b)
}

// print writes the table if it has changed.
func (w *AgentWatch) print() {
	text := strings.Join(table(w.last.rows()), "\n")
	if text != w.text {
		if w.text != "" {
			fmt.Fprintln(w.c.stdout)
		}
		fmt.Fprintln(w.c.stdout, text)
		w.text = text
	}
	note := w.last.note()
	if note != w.note && note != "" {
		w.c.say("%s", note)
	}
	w.note = note
}

// fit cuts the table to the terminal. Below it are the number of rows that were cut,
// the note, and the line with the cursor.
func (w *AgentWatch) fit(width, height int) []string {
	lines, note, more := table(w.last.rows()), w.last.note(), ""
	if w.c.quiet {
		note = ""
	}
	room := height - 1
	if note != "" {
		room--
	}
	if len(lines) > room {
		lines = lines[:max(room-1, 0)]
		more = fmt.Sprintf("and %d more", len(w.last.shown())-max(len(lines)-1, 0))
	}
	for i := range lines {
		lines[i] = w.c.dimmed(cut(lines[i], width), i > w.last.live)
	}
	for _, line := range []string{more, note} {
		if line != "" {
			lines = append(lines, cut(line, width))
		}
	}
	return lines[:min(len(lines), height-1)]
}

// cut shortens a line to the width, with an ellipsis.
func cut(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:max(width-1, 0)]) + "…"
}
