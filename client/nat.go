package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"sync"
	"time"
)

// natFile caches in the project's state the kind of NAT that this machine is
// behind, for natLasts, because laptops move. It only helps the broker to choose an
// agent, so errors of reading and writing it are ignored.
const (
	natFile  = "nat.json"
	natLasts = 15 * time.Minute
)

type natMemory struct {
	Broker string    `json:"broker"`
	NAT    string    `json:"nat"`
	At     time.Time `json:"at"`
}

// recallNAT returns the cached kind, if it is recent.
func recallNAT(state *os.Root, broker string, now time.Time) (kind string, known bool) {
	f, err := state.Open(natFile)
	if err != nil {
		return "", false
	}
	defer f.Close()
	var m natMemory
	if json.NewDecoder(io.LimitReader(f, 4096)).Decode(&m) != nil || m.Broker != broker || len(m.NAT) > 32 {
		return "", false
	}
	if age := now.Sub(m.At); age < 0 || age > natLasts {
		return "", false
	}
	return m.NAT, true
}

// learnNAT probes the NAT while a job runs and caches the result for the next
// job, because a probe takes longer than a grant. stop ends the probe.
func learnNAT(ctx context.Context, state *os.Root, broker string, probe func(context.Context) (string, error)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		kind, err := probe(ctx)
		if err != nil {
			return
		}
		data, err := json.Marshal(natMemory{broker, kind, time.Now().UTC()})
		if err == nil {
			_ = state.WriteFile(natFile, data, 0o600)
		}
	})
	return func() { cancel(); done.Wait() }
}
