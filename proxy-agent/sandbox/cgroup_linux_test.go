package sandbox

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// standIn makes a folder that stands in for a version 2 group which systemd has
// delegated. It holds the files that the kernel would make.
func standIn(t *testing.T, controllers string) (mount, own string) {
	t.Helper()
	mount, own = t.TempDir(), "/system.slice/farforge.service"
	dir := filepath.Join(mount, own)
	for _, at := range []string{dir, filepath.Join(dir, agentGroup)} {
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"cgroup.controllers": controllers + "\n", "cgroup.procs": strconv.Itoa(os.Getpid()) + "\n", "cgroup.subtree_control": "",
		} {
			if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return mount, own
}

func TestVersion2MovesTheAgentAsideAndDelegates(t *testing.T) {
	mount, own := standIn(t, "cpuset cpu io memory pids")
	for _, at := range []string{own, own + "/" + agentGroup} { // at the first start, and when systemd has moved it
		c, err := openVersion2(mount, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.base[""]; got != filepath.Join(mount, own) {
			t.Errorf("from %s: jobs' groups are made in %s", at, got)
		}
		for _, controller := range wantedControllers {
			if !c.has[controller] {
				t.Errorf("%s is not used", controller)
			}
		}
	}
	moved, err := os.ReadFile(filepath.Join(mount, own, agentGroup, "cgroup.procs"))
	if err != nil || !strings.HasPrefix(string(moved), strconv.Itoa(os.Getpid())) {
		t.Errorf("the agent's group holds %q, %v", moved, err)
	}
}

func TestVersion2WithoutControllersIsRefused(t *testing.T) {
	mount, own := standIn(t, "cpu io")
	os.WriteFile(filepath.Join(mount, "cgroup.controllers"), []byte("cpu\n"), 0o644)
	if _, err := openVersion2(mount, own); err == nil || !strings.Contains(err.Error(), "no memory and pids controllers") {
		t.Errorf("got %v", err)
	}
	if _, err := openVersion2("", own); err == nil {
		t.Error("a hierarchy that is not mounted was used")
	}
}

func TestSettingsOfBothVersions(t *testing.T) {
	all := map[string]bool{"memory": true, "pids": true, "cpu": true, "cpuset": true}
	limits := groupLimits{memory: 1 << 20, processes: 7, share: 1.25, cpus: []int{1, 3}}
	written := func(c *cgroups) map[string]string {
		files := map[string]string{}
		for _, s := range c.settings(limits) {
			files[s.file] = s.value
		}
		return files
	}
	for name, c := range map[string]struct {
		groups *cgroups
		want   map[string]string
	}{
		"2": {&cgroups{version: 2, has: all}, map[string]string{
			"memory.max": "1048576", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "7", "cpu.max": "125000 100000", "cpuset.cpus": "1,3",
		}},
		"2 without cpuset": {&cgroups{version: 2, has: map[string]bool{"memory": true, "pids": true}}, map[string]string{
			"memory.max": "1048576", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "7",
		}},
		"1": {&cgroups{version: 1, has: all, base: map[string]string{"cpuset": t.TempDir()}}, map[string]string{
			"memory.limit_in_bytes": "1048576", "memory.memsw.limit_in_bytes": "1048576", "pids.max": "7",
			"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "125000", "cpuset.mems": "", "cpuset.cpus": "1,3",
		}},
	} {
		got := written(c.groups)
		for file, value := range c.want {
			if got[file] != value {
				t.Errorf("version %s: %s is %q, want %q", name, file, got[file], value)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("version %s writes %v", name, got)
		}
	}
}

func TestOutOfMemoryIsRead(t *testing.T) {
	for version, file := range map[int]string{2: "memory.events", 1: "memory.oom_control"} {
		dir := t.TempDir()
		g := &group{version: version, dirs: map[string]string{"": dir, "memory": dir}}
		for text, want := range map[string]bool{"low 0\noom 2\noom_kill 1\noom_group_kill 1\n": true, "under_oom 0\noom_kill 0\n": false, "": false} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if g.outOfMemory() != want {
				t.Errorf("version %d: %q is read as %v", version, text, !want)
			}
		}
	}
}
