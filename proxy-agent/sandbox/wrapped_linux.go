package sandbox

import (
	"encoding/json"
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

// begin takes hold of pid 1 and opens the gate. It does not fail: what went
// wrong shows in wait.
func begin(cmd *exec.Cmd, pipes *pipes, status, gate *os.File) *wrapped {
	p := &wrapped{cmd: cmd, pipes: pipes, status: status, decoder: json.NewDecoder(status), pidfd: -1}
	var first bwrapStatus
	if p.decoder.Decode(&first) == nil && first.ChildPID > 0 {
		fd, err := unix.PidfdOpen(first.ChildPID, 0)
		switch err {
		case nil:
			p.pidfd = fd
		case unix.ESRCH: // it failed before it came to the gate: wait tells why
		default:
			// Still behind the gate, so the number is still its own.
			unix.Kill(first.ChildPID, unix.SIGKILL)
			p.err = fmt.Errorf("sandbox: hold the sandbox's first process (Linux 5.3 or newer is needed): %w", err)
		}
	}
	gate.Write([]byte{1})
	gate.Close()
	return p
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
