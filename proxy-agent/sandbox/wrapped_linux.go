package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"

	"golang.org/x/sys/unix"
)

// wrapped is one running bwrap and the pid namespace it made.
type wrapped struct {
	cmd     *exec.Cmd
	pipes   *pipes
	status  *os.File
	gate    *os.File
	decoder *json.Decoder // of status

	err error // why begin failed

	mu    sync.Mutex // guards pidfd against use after close
	pidfd int        // pid 1 of the sandbox, or -1
}

// bwrapStatus is one document on bwrap's --json-status-fd.
type bwrapStatus struct {
	ChildPID int  `json:"child-pid"`
	ExitCode *int `json:"exit-code"`
}

func newWrapped(cmd *exec.Cmd, pipes *pipes, status, gate *os.File) *wrapped {
	return &wrapped{cmd: cmd, pipes: pipes, status: status, gate: gate, decoder: json.NewDecoder(status), pidfd: -1}
}

// begin takes hold of pid 1, prepares it and opens the gate. wait returns its
// error.
func (p *wrapped) begin(prepare func(pid int) error) {
	defer p.gate.Close()
	var first bwrapStatus
	if p.decoder.Decode(&first) != nil || first.ChildPID <= 0 {
		return // it failed before it came to the gate: wait says why
	}
	fd, err := unix.PidfdOpen(first.ChildPID, 0)
	switch {
	case err == unix.ESRCH:
		return
	case err != nil:
		p.err = fmt.Errorf("sandbox: hold the sandbox's first process (Linux 5.3 or newer is needed): %w", err)
	default:
		p.mu.Lock()
		p.pidfd = fd
		p.mu.Unlock()
		p.err = prepare(first.ChildPID)
	}
	if errors.Is(p.err, unix.ESRCH) {
		p.err = nil // it has failed meanwhile: wait says why
		return
	}
	if p.err != nil {
		// Still behind the gate, so the number is still its own.
		unix.Kill(first.ChildPID, unix.SIGKILL)
		return
	}
	p.gate.Write([]byte{1})
}

// kill ends pid 1, and with it the kernel ends every process in the sandbox.
func (p *wrapped) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd >= 0 {
		unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0)
	}
	p.cmd.Process.Kill()
}

// wait returns when nothing of the sandbox is left, with the command's exit
// code. It must be called once.
func (p *wrapped) wait() (int, error) {
	var status bwrapStatus
	for p.decoder.Decode(&status) == nil && status.ExitCode == nil {
	}
	p.cmd.Wait()
	if p.pidfd >= 0 {
		unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0)
		// pid 1 counts as ended only after the kernel has reaped all others.
		awaitExit(p.pidfd)
		p.mu.Lock()
		unix.Close(p.pidfd)
		p.pidfd = -1
		p.mu.Unlock()
	}
	p.pipes.finish(0)
	p.status.Close()
	switch {
	case p.err != nil:
		return 0, p.err
	case status.ExitCode == nil:
		return 0, fmt.Errorf("sandbox: bubblewrap failed: %s", p.pipes.out.lastStderr())
	}
	return *status.ExitCode, nil
}

func awaitExit(pidfd int) {
	for {
		fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, -1); n > 0 || (err != nil && err != unix.EINTR) {
			return
		}
	}
}
