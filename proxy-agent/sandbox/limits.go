package sandbox

import (
	"strconv"
	"time"
)

// limitScript runs inside the sandbox, before the command and as the same
// process, so the command never runs without its limits. dash, bash and busybox
// spell "ulimit" alike, except for the number of processes. POSIX gives file sizes
// in blocks of 512 bytes. The first line closes the pipes that bwrap leaves open.
// The second makes the kernel kill a build before the
// agent when memory is short.
const limitScript = `exec 3>&- 4>&-
{ echo 1000 >/proc/self/oom_score_adj; } 2>/dev/null
ulimit -c 0 || exit 125
[ -z "$1" ] || ulimit -v "$1" || exit 125
[ -z "$2" ] || ulimit -t "$2" || exit 125
[ -z "$3" ] || ulimit -f "$3" || exit 125
if [ -n "$4" ]; then
  if (ulimit -u "$4") 2>/dev/null; then ulimit -u "$4"; else ulimit -p "$4"; fi || exit 125
fi
shift 4
exec "$@"`

// limited returns argv with the script that sets the limits in front of it.
func limited(l Limits, argv []string) []string {
	kib := func(n int64) string { return positive(max(n/1024, min(n, 1))) }
	blocks := func(n int64) string { return positive(max(n/512, min(n, 1))) }
	seconds := func(d time.Duration) string { return positive(int64((d + time.Second - 1) / time.Second)) }
	return append([]string{"/bin/sh", "-c", limitScript, "sh",
		kib(l.MemoryBytes), seconds(l.CPUTime), blocks(l.FileBytes), positive(int64(l.Processes))}, argv...)
}

// positive formats n, or returns "" for "no limit".
func positive(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
