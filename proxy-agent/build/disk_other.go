//go:build !unix

package build

// Low returns nil: there is no agent on this system.
func (w *Workspaces) Low(int64) error { return nil }
