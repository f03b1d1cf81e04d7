package worker

import (
	"bufio"
	"cmp"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

// RegisterCapacity defines the flags about capacity, whose defaults are the
// machine's.
func (c *Config) RegisterCapacity(f *pflag.FlagSet) {
	f.IntVar(&c.Capacity.Cores, "cores", runtime.NumCPU(), "let all jobs together use `N` processor cores")
	cli.Default(f, "cores", "all")
	c.Capacity.MemoryMB = machineMemory()
	f.Var((*cli.Memory)(&c.Capacity.MemoryMB), "memory", "let all jobs together use this `SIZE` of memory")
	cli.Default(f, "memory", "three quarters")
	f.IntVar(&c.MaxJobs, "jobs", 0, "run at most `N` jobs at once (default as many as cores)")
}

// RegisterTags defines the flag about tags.
func (c *Config) RegisterTags(f *pflag.FlagSet) {
	cli.ListVar(f, &c.Tags, "tag", "", parseTag, "offer this `TAG` that clients can ask for, such as eu or gpu; may be repeated")
}

// Validate reports the first wrong option.
func (c *Config) Validate() error {
	if c.MaxJobs == 0 {
		c.MaxJobs = max(c.Capacity.Cores, 1)
	}
	var tags error
	if len(c.Tags) > api.MaxTags {
		tags = cli.Usagef("--tag: %d tags, and an agent has at most %d", len(c.Tags), api.MaxTags)
	}
	return cmp.Or(
		cli.Require(c.Capacity.Cores >= 1 && c.Capacity.Cores <= 1024, "--cores", "between 1 and 1024"),
		cli.Require(c.Capacity.MemoryMB <= 4<<20, "--memory", "at most 4T"),
		cli.Require(c.MaxJobs >= 1 && c.MaxJobs <= 1024, "--jobs", "between 1 and 1024"),
		tags,
	)
}

func parseTag(text string) (string, error) {
	if !api.ValidTag(text) {
		return "", cli.Usagef("%q is not a tag", text).
			Hint("a tag has letters, digits and . _ + -, at most 64 of them, such as eu; repeat --tag for each")
	}
	return text, nil
}

// machineMemory returns three quarters of the machine's memory in MiB, or 2048
// where the amount is unknown.
func machineMemory() int {
	const unknown = 2048
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return unknown
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			if kib, err := strconv.Atoi(fields[1]); err == nil && kib > 4096 {
				return kib / 1024 * 3 / 4
			}
		}
	}
	return unknown
}
