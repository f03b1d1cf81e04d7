//go:build !unix

package monitor

import "io"

func interruptible(in io.Reader) (read func([]byte) (int, error), interrupt func(), waits bool) {
	return withDeadline(in)
}
