//go:build !unix

package main

import "os"

// resizes reports no change here: the next output uses the new size.
func resizes() (changed <-chan os.Signal, stop func()) { return nil, func() {} }
