// Package console writes the output of a command.
//
//	           stdout                        stderr
//	terminal   results                       build log, bars, summary
//	pipe       results                       build log, lines, summary
//	--quiet    results                       nothing; errors only
//	--json     one JSON object a line        nothing; errors only
//
// Results are few and plain, so that a shell can use them. Everything on standard
// error is for people: colors mark errors and warnings on terminals, and NO_COLOR
// (no-color.org) turns them off. A watched table is redrawn in place on a terminal, and
// written again to a pipe. Tables fit the width of a terminal. Text from an agent or a
// board loses its control characters before it reaches a terminal; see [Clean].
package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/farforge/farforge/common/cli"
)

// Options are the two outputs and the flags about them.
type Options struct {
	Stdout, Stderr io.Writer
	// JSON and Quiet are the flags of the same names.
	JSON, Quiet bool
	// Getenv is os.Getenv, or a stand-in of a test.
	Getenv func(string) string
}

// Console writes output. Its methods may be called from several goroutines.
type Console struct {
	stdout, stderr io.Writer
	json, quiet    bool
	bars           bool // standard error shows progress bars
	color          bool // standard error shows colors
	redraws        bool // standard output is a terminal that can redraw
	dims           bool // standard output shows gray text

	mu         sync.Mutex
	encoder    *json.Encoder
	bar        *bar                 // the current bar on standard error
	block      *block               // the current block on standard output
	progressed map[string]time.Time // times of the last progress as JSON
	since      map[string]time.Time // times at which transfers began

	waiting  bool // a place in line was shown, with this position
	position int
}

// New returns a console. It draws bars if standard error is a terminal other than
// TERM=dumb.
func New(o Options) *Console {
	able := o.Getenv("TERM") != "dumb"
	terminal := isTerminal(o.Stderr) && able
	redraws := isTerminal(o.Stdout) && able && !o.JSON
	c := &Console{
		stdout: o.Stdout, stderr: o.Stderr, json: o.JSON, quiet: o.Quiet || o.JSON,
		bars:       terminal && !o.Quiet && !o.JSON,
		color:      terminal && o.Getenv("NO_COLOR") == "",
		redraws:    redraws,
		dims:       redraws && o.Getenv("NO_COLOR") == "",
		progressed: map[string]time.Time{}, since: map[string]time.Time{},
	}
	c.encoder = json.NewEncoder(o.Stdout)
	c.encoder.SetEscapeHTML(false)
	return c
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// JSON reports whether results are JSON.
func (c *Console) JSON() bool { return c.json }

// Say writes a line for people to standard error.
func (c *Console) Say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.say(format, args...)
}

// say is Say for callers that hold the lock, like all methods in lower case.
func (c *Console) say(format string, args ...any) {
	if !c.quiet {
		c.line(fmt.Sprintf(format, args...))
	}
}

// line writes a line above the bar or the block, if there is one. It ignores errors,
// because a closed terminal must not stop a build.
func (c *Console) line(text string) {
	if c.bar != nil {
		c.bar.print(text + "\n")
		return
	}
	write := func() { _, _ = io.WriteString(c.stderr, text+"\n") }
	if c.block != nil && c.block.beside {
		c.block.print(write)
		return
	}
	write()
}

// Result writes a line of results to standard output, unless they are JSON.
func (c *Console) Result(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.json {
		fmt.Fprintf(c.stdout, format+"\n", args...)
	}
}

// emit writes one JSON object to standard output if --json is set.
func (c *Console) emit(object any) {
	if c.json {
		_ = c.encoder.Encode(object) // a closed output cannot be reported
	}
}

// Fail shows the error that ends the command.
func (c *Console) Fail(err error) {
	c.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(newErrorEvent(err))
	if !c.color {
		cli.Print(c.stderr, cleanError(err))
		return
	}
	var text bytes.Buffer
	cli.Print(&text, cleanError(err))
	for line := range strings.Lines(text.String()) {
		switch head, rest, _ := strings.Cut(line, ":"); head {
		case "error":
			line = "\x1b[1;31merror:\x1b[0m" + rest
		case "hint":
			line = "\x1b[36mhint:\x1b[0m" + rest
		}
		_, _ = io.WriteString(c.stderr, line)
	}
}

// cleanError returns the error without control characters, because parts of its text
// may come from a broker or an agent.
func cleanError(err error) error {
	lines := func(text string) string {
		var out []string
		for line := range strings.Lines(text) {
			out = append(out, Clean(strings.TrimSuffix(line, "\n"), false))
		}
		return strings.Join(out, "\n")
	}
	clean := cli.Fail(cli.Code(err), errors.New(lines(err.Error())))
	for _, hint := range cli.Hints(err) {
		clean.Hint(lines(hint))
	}
	return clean
}

// Close ends an unfinished bar.
func (c *Console) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endBar(false)
}
