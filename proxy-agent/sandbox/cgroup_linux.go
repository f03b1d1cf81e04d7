package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/farforge/farforge/common/capacity"
)

// groupPrefix begins the names of the jobs' control groups.
const groupPrefix = "farforge-job-"

// agentGroup is where the agent itself moves, because a version 2 group that has
// groups with controllers below it may not have processes of its own.
const agentGroup = "agent"

// cgroups makes a control group for each job: version 2 where it has the
// controllers, version 1 otherwise. What a group limits, it limits for all
// processes of the job together, whatever kind of memory they use.
type cgroups struct {
	version int
	// base is where jobs' groups are made, by controller; with version 2 there is
	// one hierarchy, under "".
	base map[string]string
	has  map[string]bool // controllers
	next atomic.Int64
}

// wantedControllers are those that limit a job; without the first two a group is
// useless.
var wantedControllers = []string{"memory", "pids", "cpu", "cpuset"}

// openCgroups finds out where this process may make control groups, and removes
// groups that a killed agent has left.
func openCgroups() (*cgroups, error) {
	mounts, err := cgroupMounts()
	if err != nil {
		return nil, err
	}
	own, err := ownCgroups()
	if err != nil {
		return nil, err
	}
	c, err2 := openVersion2(mounts[""], own[""])
	if err2 != nil {
		var err1 error
		if c, err1 = openVersion1(mounts, own); err1 != nil {
			return nil, fmt.Errorf("version 2: %w; version 1: %w", err2, err1)
		}
	}
	for _, base := range c.base {
		left, _ := filepath.Glob(filepath.Join(base, groupPrefix+"*"))
		for _, dir := range left {
			// The group of another agent's next build is still empty.
			if !ownerRuns(filepath.Base(dir)) {
				_ = os.Remove(dir) // fails while processes are in it
			}
		}
	}
	// Only making a group shows whether the kernel or a container forbids it.
	g, err := c.make(groupLimits{memory: 1 << 30, processes: 64})
	if err != nil {
		return nil, err
	}
	return c, g.remove()
}

// ownerRuns reports whether the process that made the group runs.
func ownerRuns(group string) bool {
	pid, _, _ := strings.Cut(strings.TrimPrefix(group, groupPrefix), "-")
	n, err := strconv.Atoi(pid)
	if err != nil || n <= 0 {
		return false
	}
	err = syscall.Kill(n, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// openVersion2 prepares the group that this process is in, which systemd has
// delegated or root may change. root may also use the root of the hierarchy.
func openVersion2(mount, own string) (*cgroups, error) {
	if mount == "" {
		return nil, errors.New("it is not mounted")
	}
	bases := []string{filepath.Join(mount, own)}
	if filepath.Base(own) == agentGroup { // systemd or an earlier start has put it there
		bases = append([]string{filepath.Dir(bases[0])}, bases...)
	}
	if os.Getuid() == 0 {
		bases = append(bases, mount)
	}
	var failed error
	for _, base := range bases {
		has, err := delegate(base, base == mount)
		if err == nil {
			return &cgroups{version: 2, base: map[string]string{"": base}, has: has}, nil
		}
		if failed == nil {
			failed = err
		}
	}
	return nil, failed
}

// delegate passes the controllers of a version 2 group on to the groups below it.
func delegate(base string, top bool) (map[string]bool, error) {
	data, err := os.ReadFile(filepath.Join(base, "cgroup.controllers"))
	if err != nil {
		return nil, err
	}
	offered := strings.Fields(string(data))
	if !slices.Contains(offered, "memory") || !slices.Contains(offered, "pids") {
		return nil, fmt.Errorf("%s has no memory and pids controllers", base)
	}
	if !top {
		if err := moveToLeaf(base); err != nil {
			return nil, err
		}
	}
	has := map[string]bool{}
	for _, controller := range wantedControllers {
		if !slices.Contains(offered, controller) {
			continue
		}
		err := writeKernel(filepath.Join(base, "cgroup.subtree_control"), "+"+controller)
		if err != nil && (controller == "memory" || controller == "pids") {
			return nil, err
		}
		has[controller] = err == nil
	}
	return has, nil
}

// moveToLeaf moves the processes of a group into one below it.
func moveToLeaf(base string) error {
	leaf := filepath.Join(base, agentGroup)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	data, err := os.ReadFile(filepath.Join(base, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, pid := range strings.Fields(string(data)) {
		if err := writeKernel(filepath.Join(leaf, "cgroup.procs"), pid); err != nil && pid == strconv.Itoa(os.Getpid()) {
			return err
		}
	}
	return nil
}

// openVersion1 uses the groups that this process is in. Only root may.
func openVersion1(mounts, own map[string]string) (*cgroups, error) {
	c := &cgroups{version: 1, base: map[string]string{}, has: map[string]bool{}}
	for _, controller := range wantedControllers {
		mount := mounts[controller]
		if mount == "" {
			continue
		}
		base := filepath.Join(mount, own[controller])
		if _, err := os.Stat(base); err != nil {
			base = mount // in a container, the path is that of the host
		}
		c.base[controller], c.has[controller] = base, true
	}
	if !c.has["memory"] || !c.has["pids"] {
		return nil, errors.New("the memory and pids controllers are not mounted")
	}
	return c, nil
}

// groupLimits are what a group enforces; zero means no limit.
type groupLimits struct {
	memory    int64 // bytes
	processes int
	share     capacity.CoreShare
	cpus      []int // none: all
}

// group is the control group of one job.
type group struct {
	version int
	dirs    map[string]string // by controller
}

func (c *cgroups) make(l groupLimits) (*group, error) {
	name := fmt.Sprintf("%s%d-%d", groupPrefix, os.Getpid(), c.next.Add(1))
	g := &group{version: c.version, dirs: map[string]string{}}
	for controller, base := range c.base {
		dir := filepath.Join(base, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make a control group: %w", errors.Join(err, g.remove()))
		}
		g.dirs[controller] = dir
	}
	for _, s := range c.settings(l) {
		dir := g.dirs[""]
		if c.version == 1 {
			dir = g.dirs[s.controller]
		}
		err := writeKernel(filepath.Join(dir, s.file), s.value)
		if err != nil && !(s.optional && errors.Is(err, fs.ErrNotExist)) {
			return nil, fmt.Errorf("limit a control group: %w", errors.Join(err, g.remove()))
		}
	}
	return g, nil
}

// setting is one file of a group and what is written to it.
type setting struct {
	controller, file, value string
	optional                bool // the kernel may lack it
}

func (c *cgroups) settings(l groupLimits) []setting {
	const period = 100_000 // microseconds
	var cpus []string
	for _, cpu := range l.cpus {
		cpus = append(cpus, strconv.Itoa(cpu))
	}
	set := strings.Join(cpus, ",")
	memory, processes := strconv.FormatInt(l.memory, 10), strconv.Itoa(l.processes)
	quota := strconv.Itoa(int(math.Round(float64(l.share) * period)))
	var all []setting
	add := func(when bool, s setting) {
		if when && c.has[s.controller] {
			all = append(all, s)
		}
	}
	if c.version == 2 {
		add(l.memory > 0, setting{"memory", "memory.max", memory, false})
		add(l.memory > 0, setting{"memory", "memory.swap.max", "0", true})
		add(l.memory > 0, setting{"memory", "memory.oom.group", "1", true})
		add(l.processes > 0, setting{"pids", "pids.max", processes, false})
		add(l.share > 0, setting{"cpu", "cpu.max", fmt.Sprintf("%s %d", quota, period), false})
		add(set != "", setting{"cpuset", "cpuset.cpus", set, false})
		return all
	}
	add(l.memory > 0, setting{"memory", "memory.limit_in_bytes", memory, false})
	add(l.memory > 0, setting{"memory", "memory.memsw.limit_in_bytes", memory, true})
	add(l.processes > 0, setting{"pids", "pids.max", processes, false})
	add(l.share > 0, setting{"cpu", "cpu.cfs_period_us", strconv.Itoa(period), true})
	add(l.share > 0, setting{"cpu", "cpu.cfs_quota_us", quota, true})
	if c.has["cpuset"] {
		// A version 1 cpuset accepts no process before it has both.
		base := c.base["cpuset"]
		if set == "" {
			set = readLine(filepath.Join(base, "cpuset.cpus"))
		}
		all = append(all, setting{"cpuset", "cpuset.mems", readLine(filepath.Join(base, "cpuset.mems")), false},
			setting{"cpuset", "cpuset.cpus", set, false})
	}
	return all
}

// add moves a process into the group.
func (g *group) add(pid int) error {
	for _, dir := range g.dirs {
		if err := writeKernel(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("move the build into its control group: %w", err)
		}
	}
	return nil
}

// outOfMemory reports whether the kernel has killed a process of the group,
// because the group reached its memory limit.
func (g *group) outOfMemory() bool {
	file := filepath.Join(g.dirs[""], "memory.events")
	if g.version == 1 {
		file = filepath.Join(g.dirs["memory"], "memory.oom_control")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			return n != "0"
		}
	}
	return false
}

// remove removes the group. Its processes have ended; the kernel may take a
// moment to notice.
func (g *group) remove() error {
	var failed error
	for _, dir := range g.dirs {
		err := os.Remove(dir)
		for wait := time.Millisecond; err != nil && !errors.Is(err, fs.ErrNotExist) && wait < time.Second; wait *= 2 {
			time.Sleep(wait)
			err = os.Remove(dir)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// cgroupMounts returns where the hierarchies are mounted, by controller; version
// 2 is under "".
func cgroupMounts() (map[string]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mounts := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		dash := slices.Index(fields, "-")
		if dash < 5 || len(fields) < dash+4 {
			continue
		}
		switch fields[dash+1] {
		case "cgroup2":
			mounts[""] = fields[4]
		case "cgroup":
			for _, option := range strings.Split(fields[dash+3], ",") {
				mounts[option] = fields[4]
			}
		}
	}
	return mounts, nil
}

// ownCgroups returns the groups of this process, by controller.
func ownCgroups() (map[string]string, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own := map[string]string{}
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, controller := range strings.Split(parts[1], ",") {
			own[controller] = parts[2]
		}
	}
	return own, nil
}

// writeKernel writes to a file of the kernel's, which must exist.
func writeKernel(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

func readLine(path string) string {
	data, _ := os.ReadFile(path) // an empty value is refused where it matters
	return strings.TrimSpace(string(data))
}
