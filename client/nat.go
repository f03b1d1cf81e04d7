package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"sync"
	"time"
)

// natFile remembers in a project's state what NAT this machine was behind, and
// natLasts is how long that is taken to be so: a laptop moves. It only helps the
// broker to choose an agent, so what cannot be read or written does not matter.
const (
	natFile  = "nat.json"
	natLasts = 15 * time.Minute
)

type natMemory struct {
	Broker string    `json:"broker"`
	NAT    string    `json:"nat"`
	At     time.Time `json:"at"`
}

// recallNAT returns what was found out lately, or nothing.
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

// learnNAT probes the NAT while a job runs, for the next one: a probe takes
// longer than to get a grant. The function that it returns ends that.
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
