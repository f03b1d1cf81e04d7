package main

import (
	"os"
	"time"
)

// follower is something that is kept true to a file.
type follower interface {
	// Reload reads the file again.
	Reload()
	// Check does so if it has changed.
	Check()
}

// checkEvery is how soon a change of a file is noticed. It costs a stat a file.
const checkEvery = time.Second

// follow keeps all true to their files until ended is closed.
func follow(ended <-chan struct{}, reload <-chan os.Signal, all ...follower) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-reload:
			for _, f := range all {
				f.Reload()
			}
		case <-tick.C:
			for _, f := range all {
				f.Check()
			}
		}
	}
}
