package sandbox

import (
	"maps"
	"slices"
)

// baseEnv is the environment of a command before its recipe adds to it. It is
// fixed, so that a build gives the same result on every agent and no variable of
// the agent's (a token, a proxy, a preload) reaches it.
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
		// Tools that write times into files use this instead of the clock. It is
		// 1980-01-01, the earliest time that a zip archive can hold.
		"SOURCE_DATE_EPOCH": "315532800",
		// The leak check of AddressSanitizer needs ptrace, which the sandbox
		// denies; without this every program with it would fail at its end.
		"LSAN_OPTIONS": "detect_leaks=0",
	}
}

// environ returns the environment with extra added or replacing, as sorted pairs.
func environ(home string, extra map[string]string) [][2]string {
	env := baseEnv(home)
	maps.Copy(env, extra)
	var pairs [][2]string
	for _, key := range slices.Sorted(maps.Keys(env)) {
		pairs = append(pairs, [2]string{key, env[key]})
	}
	return pairs
}
