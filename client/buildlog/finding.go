package buildlog

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Finding is an error or a warning of a compiler.
type Finding struct {
	Severity string `json:"severity"` // "error" or "warning"
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Message  string `json:"message"`
}

// String returns the finding in the form of GCC, which editors and CI systems link.
func (f Finding) String() string {
	place := f.File
	if f.Line > 0 {
		place += fmt.Sprintf(":%d", f.Line)
	}
	if f.Column > 0 {
		place += fmt.Sprintf(":%d", f.Column)
	}
	return fmt.Sprintf("%s: %s: %s", place, f.Severity, f.Message)
}

// maxFindings bounds the errors and the warnings that are kept, each.
const maxFindings = 50

// forms are the forms of messages. Those of Rust and CMake take two lines.
type forms struct{ gcc, link, rust, rustPlace, cmake *regexp.Regexp }

func newForms() forms {
	return forms{
		gcc:       regexp.MustCompile(`^\s*((?:[A-Za-z]:)?[^\s:][^:]*):(\d+):(?:(\d+):)? (?:fatal )?(error|warning): (.*)$`),
		link:      regexp.MustCompile(`^(?:.*\bld(?:\.\w+)?(?:\.exe)?: )?([^\s:][^:]*):(\d+|\([^)]*\)): ((?:undefined reference to|multiple definition of) .*)$`),
		rust:      regexp.MustCompile(`^(error|warning)(?:\[\w+\])?: (.+)$`),
		rustPlace: regexp.MustCompile(`^\s*--> ([^:]+):(\d+):(\d+)$`),
		cmake:     regexp.MustCompile(`^CMake (Error|Warning)(?: \(dev\))? at ([^:]+):(\d+) \(.*\):$`),
	}
}

// finder reads messages of compilers from lines. pending is one whose second line is
// still to come.
type finder struct {
	forms            forms
	errors, warnings []Finding
	pending          *Finding
}

func (f *finder) add(line string) {
	if m := f.forms.gcc.FindStringSubmatch(line); m != nil {
		f.keep(Finding{Severity: m[4], File: m[1], Line: number(m[2]), Column: number(m[3]), Message: m[5]})
		return
	}
	if m := f.forms.link.FindStringSubmatch(line); m != nil {
		f.keep(Finding{Severity: "error", File: m[1], Line: number(m[2]), Message: m[3]})
		return
	}
	if m := f.forms.rust.FindStringSubmatch(line); m != nil {
		f.pending = &Finding{Severity: m[1], Message: m[2]}
		return
	}
	if m := f.forms.cmake.FindStringSubmatch(line); m != nil {
		f.pending = &Finding{Severity: strings.ToLower(m[1]), File: m[2], Line: number(m[3])}
		return
	}
	if f.pending == nil {
		return
	}
	if f.pending.File != "" {
		if text := strings.TrimSpace(line); text != "" {
			f.pending.Message = text
			f.keep(*f.pending)
			f.pending = nil
		}
		return
	}
	if m := f.forms.rustPlace.FindStringSubmatch(line); m != nil {
		f.pending.File, f.pending.Line, f.pending.Column = m[1], number(m[2]), number(m[3])
		f.keep(*f.pending)
	}
	f.pending = nil // the place of a Rust message is on its next line
}

// keep adds a finding unless it is already there, because a header is compiled many times.
func (f *finder) keep(found Finding) {
	into := &f.errors
	if found.Severity == "warning" {
		into = &f.warnings
	}
	if len(*into) < maxFindings && !slices.Contains(*into, found) {
		*into = append(*into, found)
	}
}

// number returns a line or column of a message; 0 if it is missing or out of range.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
