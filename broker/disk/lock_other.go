//go:build !unix

package disk

// Lock does nothing where there is no flock: the last writer wins whole.
func Lock(string) (unlock func(), err error) { return func() {}, nil }
