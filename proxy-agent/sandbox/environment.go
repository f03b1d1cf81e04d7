package sandbox

import (
	"maps"
	"slices"
)

// baseEnv is the whole environment of a command, but for what its recipe adds.
// It is fixed, so that a build gives the same result on every agent and no
// variable of the agent's (a token, a proxy, a preload) reaches it.
func baseEnv(home string) map[string]string {
	return map[string]string{
		"PATH":    "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
		"HOME":    home,
		"TMPDIR":  home,
		"USER":    "build",
		"LOGNAME": "build",
		"SHELL":   "/bin/sh",
		"LANG":    "C.UTF-8",
		"TZ":      "UTC",
		"TERM":    "dumb",
		// Tools that stamp what they make use this instead of the clock. It is
		// 1980-01-01, the earliest time that a zip archive can hold.
		"SOURCE_DATE_EPOCH": "315532800",
	}
}

// environ returns base with extra laid over it, as sorted pairs.
func environ(home string, extra map[string]string) [][2]string {
	env := baseEnv(home)
	maps.Copy(env, extra)
	var pairs [][2]string
	for _, key := range slices.Sorted(maps.Keys(env)) {
		pairs = append(pairs, [2]string{key, env[key]})
	}
	return pairs
}
