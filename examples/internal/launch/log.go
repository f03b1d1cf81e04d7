//go:build unix

package launch

import (
	"bytes"
	"context"
	"strings"
	"sync"
)

// Log collects what a program says. The zero value is ready. It is safe for
// concurrent use.
type Log struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed at the next write
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
	return l.text.Write(p)
}

// String is all that was said so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Await waits until there is a whole line with text in it, and returns what
// follows text there. It gives up when ctx ends.
func (l *Log) Await(ctx context.Context, text string) (rest string, ok bool) {
	for last := false; ; {
		rest, found, grown := l.after(text)
		if found || last {
			return rest, found
		}
		select {
		case <-grown:
		case <-ctx.Done():
			last = true
		}
	}
}

// after returns what follows text up to the end of its line. If there is no
// such whole line yet, grown is closed when there is more to look at.
func (l *Log) after(text string) (rest string, found bool, grown <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, behind, there := strings.Cut(l.text.String(), text); there {
		if line, _, whole := strings.Cut(behind, "\n"); whole {
			return line, true, nil
		}
	}
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	return "", false, l.grown
}
