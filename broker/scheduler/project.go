package scheduler

import (
	"encoding/binary"
	"hash"
	"slices"
)

// fnv is FNV-1a of the strings with a zero byte behind each. It is the same in
// every process, so that one seed always gives one choice.
func fnv(s ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range s {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = h * 1099511628211
	}
	return h
}

// mix is the finalizer of SplitMix64: every bit of x moves every bit of the
// result.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// kindKey and projectKey name a job's levels. A project belongs to its kind: it
// is another job for another target.
func kindKey(target, toolchain string) uint64 { return fnv(target, toolchain) }

func projectKey(kind, name uint64) uint64 {
	if name == 0 {
		return 0
	}
	return mix(kind ^ name)
}

// ProjectKey returns what the farm knows a project by: a hash under the farm's own
// key, so that a stored key does not help to guess a name. It is 0 for the empty
// name only.
func (f *Farm) ProjectKey(name string) uint64 {
	if name == "" {
		return 0
	}
	m := f.macs.Get().(*mac)
	defer f.macs.Put(m)
	m.Reset()
	m.in = append(m.in[:0], name...)
	m.Write(m.in)
	m.out = m.Sum(m.out[:0])
	return max(binary.BigEndian.Uint64(m.out), 1)
}

// mac is an HMAC under the farm's key, and the buffers that it needs.
type mac struct {
	hash.Hash
	in, out []byte
}

// Warmth is whether an agent has something left of a project's earlier builds.
type Warmth uint8

const (
	// Unsaid: nobody looked at the time. What the agent says now counts.
	Unsaid Warmth = iota
	Cold
	Warm
)

// isWarm tells whether the agent has a workspace of the project: it says so
// or, if it never says, it has built the project of late.
func (a *facts) isWarm(name uint64, built bool) bool {
	if a != nil && a.tells {
		return slices.Contains(a.warm, name)
	}
	return built
}

// Warmth tells whether the agent has something left of earlier builds of the
// job's project.
func (f *Farm) Warmth(fingerprint string, n Need) Warmth {
	m, name := f.member(fingerprint), f.ProjectKey(n.Project)
	if m == nil || name == 0 {
		return Unsaid
	}
	key := projectKey(kindKey(n.Target, n.Toolchain.Name), name)
	if m.facts.Load().isWarm(name, find(m.skill.Load().projects, key) != nil) {
		return Warm
	}
	return Cold
}
