package scheduler

import (
	"encoding/binary"
	"hash"
	"slices"
)

// fnv returns the FNV-1a hash of the strings, each with a zero byte behind it. It is
// the same in every process, so that a seed always gives the same choice.
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

// mix is the finalizer of SplitMix64: every bit of x affects every bit of the
// result.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// kindKey and projectKey are the keys of a job's estimates. A project's jobs for
// another target have another key.
func kindKey(target, toolchain string) uint64 { return fnv(target, toolchain) }

func projectKey(kind, name uint64) uint64 {
	if name == 0 {
		return 0
	}
	return mix(kind ^ name)
}

// ProjectKey returns the hash of a project's name under the farm's own key, so that
// a stored hash does not help to guess the name. Only the empty name has the
// hash 0.
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

// mac is an HMAC under the farm's key with its buffers.
type mac struct {
	hash.Hash
	in, out []byte
}

// Warmth states whether an agent keeps something of a project's earlier builds.
type Warmth uint8

const (
	// Unknown: it was not recorded. The agent's present status counts.
	Unknown Warmth = iota
	Cold
	Warm
)

// isWarm reports whether the agent has a workspace of the project: its status lists
// it or, if the agent never lists any, it has built the project lately.
func (a *facts) isWarm(name uint64, built bool) bool {
	if a != nil && a.announces {
		return slices.Contains(a.warm, name)
	}
	return built
}

// Warmth reports whether the agent keeps something of earlier builds of the job's
// project.
func (f *Farm) Warmth(fingerprint string, n Need) Warmth {
	m, name := f.member(fingerprint), f.ProjectKey(n.Project)
	if m == nil || name == 0 {
		return Unknown
	}
	key := projectKey(kindKey(n.Target, n.Toolchain.Name), name)
	if m.facts.Load().isWarm(name, find(m.skill.Load().projects, key) != nil) {
		return Warm
	}
	return Cold
}
