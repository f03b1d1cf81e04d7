// Package console is what a user sees of a command.
//
//	           stdout                        stderr
//	terminal   results                       build log, bars, summary
//	pipe       results                       build log, lines, summary
//	--quiet    results                       nothing; errors only
//	--json     one JSON object a line        nothing; errors only
//
// Results are few and plain, so that a shell can use them. Everything on
// standard error is for people. A table that is watched is drawn again in place
// if standard output is a terminal, and written anew to a pipe. What an agent or a
// board says is stripped of control characters before it reaches a terminal; see
// [Clean].
package console

import (
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

// Options tell where and how to show things.
type Options struct {
	Stdout, Stderr io.Writer
	// JSON and Quiet are the flags of the same names.
	JSON, Quiet bool
	// Getenv is os.Getenv, or a test's.
	Getenv func(string) string
}

// Console shows things. Its methods may be called from several goroutines.
type Console struct {
	stdout, stderr io.Writer
	json, quiet    bool
	bars           bool // progress is drawn
	color          bool // colours of a build's log are kept
	redraws        bool // what is on standard output can be drawn again
	dims           bool // and can be grey

	mu      sync.Mutex
	encoder *json.Encoder
	bar     *bar                 // the one that is drawn now
	block   *block               // what is drawn now on standard output
	told    map[string]time.Time // when progress was last told as JSON
	since   map[string]time.Time // when a transfer began

	waiting  bool // the last that was said of the line
	position int
}

// New returns a console. Bars are drawn when standard error is a terminal that
// can: TERM=dumb cannot. NO_COLOR (no-color.org) takes colours away.
func New(o Options) *Console {
	able := o.Getenv("TERM") != "dumb"
	terminal := isTerminal(o.Stderr) && able
	redraws := isTerminal(o.Stdout) && able && !o.JSON
	c := &Console{
		stdout: o.Stdout, stderr: o.Stderr, json: o.JSON, quiet: o.Quiet || o.JSON,
		bars:    terminal && !o.Quiet && !o.JSON,
		color:   terminal && o.Getenv("NO_COLOR") == "",
		redraws: redraws,
		dims:    redraws && o.Getenv("NO_COLOR") == "",
		told:    map[string]time.Time{}, since: map[string]time.Time{},
	}
	c.encoder = json.NewEncoder(o.Stdout)
	c.encoder.SetEscapeHTML(false)
	return c
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// JSON tells whether results are JSON.
func (c *Console) JSON() bool { return c.json }

// Say writes a line of chatter.
func (c *Console) Say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.say(format, args...)
}

// say must be called with the lock held, like all methods below that begin in
// lower case.
func (c *Console) say(format string, args ...any) {
	if !c.quiet {
		c.line(fmt.Sprintf(format, args...))
	}
}

// line writes above the bar or the block, if there is one. What cannot be written
// to a closed terminal is lost, which is no reason to stop a build.
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

// emit writes one JSON object to standard output, if --json asks for it.
func (c *Console) emit(object any) {
	if c.json {
		_ = c.encoder.Encode(object) // nobody is left to tell
	}
}

// Fail shows the error that ends the command.
func (c *Console) Fail(err error) {
	c.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(newErrorEvent(err))
	cli.Print(c.stderr, cleanError(err))
}

// cleanError is the error as a terminal may get it: some of its words may be a
// broker's or an agent's.
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

// Close takes an unfinished bar off the terminal's hands.
func (c *Console) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endBar(false)
}
