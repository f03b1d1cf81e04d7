package sandbox

import (
	"errors"
	"os/exec"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// cores gives each job the processors that the fewest other jobs have.
type cores struct {
	mu   sync.Mutex
	jobs map[int]int // by processor; all that this process may use
}

func newCores() *cores {
	c := &cores{jobs: map[int]int{}}
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) == nil {
		for cpu := range len(set) * 64 {
			if set.IsSet(cpu) {
				c.jobs[cpu] = 0
			}
		}
	}
	return c
}

// take returns n processors for a job, or none if the job may use all. release
// gives them back.
func (c *cores) take(n int) (cpus []int, release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n <= 0 || n >= len(c.jobs) {
		return nil, func() {}
	}
	for cpu := range c.jobs {
		cpus = append(cpus, cpu)
	}
	slices.SortFunc(cpus, func(a, b int) int {
		if d := c.jobs[a] - c.jobs[b]; d != 0 {
			return d
		}
		return a - b
	})
	cpus = cpus[:n]
	for _, cpu := range cpus {
		c.jobs[cpu]++
	}
	return cpus, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, cpu := range cpus {
			c.jobs[cpu]--
		}
	}
}

// bind lets a process, and what it starts, run on these processors only. A
// command sees their number as that of the machine's processors. pid 0 is the
// calling thread.
func bind(pid int, cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	return unix.SchedSetaffinity(pid, &set)
}

// startOn starts a command that may use n processors.
func startOn(cmd *exec.Cmd, n int) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		cpus, _ := newCores().take(n)
		started <- errors.Join(bind(0, cpus), cmd.Start())
	}()
	return <-started
}
