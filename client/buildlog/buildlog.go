// Package buildlog keeps the log of a build for later reading: all lines in a file,
// the last ones in memory, and the errors and warnings of compilers with their places.
//
//	agent's log ─▶ Add ─┬─▶ DIR/.farforge/build.log    every line
//	                    ├─▶ Tail                       the last ones, for --quiet
//	                    ├─▶ Findings                   file, line, message
//	                    └─▶ Offline                    the build missed the network
package buildlog

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"sync"
)

// FileName is the name of the file in the state folder.
const FileName = "build.log"

// TailLines is the number of lines that Tail returns at most.
const TailLines = 20

// Log is the log of one build. Its methods may be called from several goroutines.
type Log struct {
	mu      sync.Mutex
	file    *os.File
	writer  *bufio.Writer
	err     error // the first error of writing
	tail    []string
	finder  finder
	missing *regexp.Regexp // offlineForm
	offline bool
}

// Create makes a new file in the state folder. If another client is writing a build log
// there, it goes on writing to its own file, which no longer has a name.
func Create(state *os.Root) (*Log, error) {
	if err := state.Remove(FileName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replace the build log: %w", err)
	}
	file, err := state.OpenFile(FileName, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("write the build log: %w", err)
	}
	return &Log{
		file: file, writer: bufio.NewWriter(file),
		finder: finder{forms: newForms()}, missing: regexp.MustCompile(offlineForm),
	}, nil
}

// Add appends lines, which must be free of control characters. An error of writing is
// returned by Close, so that a full disk does not end a build.
func (l *Log) Add(lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range lines {
		_, err := l.writer.WriteString(line + "\n")
		l.err = first(l.err, err)
		l.finder.add(line)
		l.offline = l.offline || l.missing.MatchString(line)
	}
	l.err = first(l.err, l.writer.Flush())
	l.tail = append(l.tail, lines...)
	if len(l.tail) > TailLines {
		l.tail = slices.Clone(l.tail[len(l.tail)-TailLines:])
	}
}

// Close closes the file and returns the first error of writing.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := first(l.err, l.file.Close()); err != nil {
		return fmt.Errorf("write the build log: %w", err)
	}
	return nil
}

// Tail returns the last lines.
func (l *Log) Tail() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.tail)
}

// Findings returns the errors and then the warnings, each once and in the order of the
// log.
func (l *Log) Findings() []Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.finder.errors, l.finder.warnings)
}

// Offline reports whether a program of the build failed to find a host by its name, as
// every program does in a sandbox without a network.
func (l *Log) Offline() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.offline
}

// offlineForm matches the messages of the C library, curl, git, Go, Rust, Python and
// node.
const offlineForm = `(?i)could not resolve host|temporary failure in name resolution|name or service not known|` +
	`couldn't resolve host|failed to lookup address information|dial tcp: lookup |getaddrinfo (failed|EAI_AGAIN|ENOTFOUND)|` +
	`no address associated with hostname|nodename nor servname provided|failed to resolve '|network is unreachable`

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
