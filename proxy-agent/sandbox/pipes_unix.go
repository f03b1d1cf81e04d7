//go:build unix

package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// pipes carry a command's two streams to an output.
type pipes struct {
	out        *output
	outR, outW *os.File
	errR, errW *os.File
	pumps      sync.WaitGroup
}

// attach connects cmd's stdout and stderr to pipes.
func (o *output) attach(cmd *exec.Cmd) (*pipes, error) {
	p := &pipes{out: o}
	var err error
	if p.outR, p.outW, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("sandbox: make a pipe: %w", err)
	}
	if p.errR, p.errW, err = os.Pipe(); err != nil {
		closeFiles(p.outR, p.outW)
		return nil, fmt.Errorf("sandbox: make a pipe: %w", err)
	}
	cmd.Stdout, cmd.Stderr = p.outW, p.errW
	return p, nil
}

// start begins to read, after the command was given its ends.
func (p *pipes) start() {
	closeFiles(p.outW, p.errW)
	p.pumps.Go(func() { p.out.pump(Stdout, p.outR) })
	p.pumps.Go(func() { p.out.pump(Stderr, p.errR) })
}

// finish reads to the end. With a grace it reads at most that long, because a
// process that was not found may hold a pipe open.
func (p *pipes) finish(grace time.Duration) {
	if grace > 0 {
		deadline := time.Now().Add(grace)
		p.outR.SetReadDeadline(deadline)
		p.errR.SetReadDeadline(deadline)
	}
	p.pumps.Wait()
	closeFiles(p.outR, p.errR)
	p.out.finish()
}

// abandon closes the pipes of a command that did not start.
func (p *pipes) abandon() { closeFiles(p.outR, p.outW, p.errR, p.errW) }

func closeFiles(files ...*os.File) {
	for _, f := range files {
		f.Close()
	}
}
