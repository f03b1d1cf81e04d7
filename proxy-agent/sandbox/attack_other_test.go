//go:build unix && !linux

package sandbox

func attack(string) {}
