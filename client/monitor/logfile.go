package monitor

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// logFile is a file that the L command writes. A nil logFile drops everything.
type logFile struct {
	f   *os.File
	err error
}

// openLog makes a new file, readable by its owner only: boards print secrets.
func openLog(dir string) (*logFile, error) {
	name := filepath.Join(dir, time.Now().Format("monitor-20060102-150405.log"))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &logFile{f: f}, nil
}

func (l *logFile) write(s string) {
	if l == nil || l.err != nil {
		return
	}
	_, l.err = l.f.WriteString(s)
}

// close closes the file and returns the first error of its writes.
func (l *logFile) close() error {
	if l == nil {
		return nil
	}
	if err := l.f.Close(); l.err == nil {
		l.err = err
	}
	if l.err != nil {
		return fmt.Errorf("the log %s is not complete: %w", l.f.Name(), l.err)
	}
	return nil
}
