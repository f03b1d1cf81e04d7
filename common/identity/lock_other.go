//go:build !unix

package identity

// lockFile does nothing where there is no flock: the last writer wins whole.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }
