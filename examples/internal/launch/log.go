//go:build unix

package launch

import (
	"bytes"
	"context"
	"strings"
	"sync"
)

// Log collects a program's output. The zero value is ready to use. It is safe for
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

// String returns the output so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Await waits for a complete line that contains text, and returns the rest of the
// line after text. It gives up when ctx ends.
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

// after returns the rest of the line after text. If no complete line contains
// text yet, grown is closed at the next write.
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
