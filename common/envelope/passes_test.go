package envelope_test

import (
	"encoding/json"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/envelope"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/peer"
)

// TestOnePassOnEachSideOfASeal introduces two real peers and counts how often a
// description goes through JSON from the offer's maker to the connection: once
// before and once behind each of the two seals.
//
// The count is taken from the memory profile with a sample of every allocation:
// each call of the JSON package allocates within it, at known places.
func TestOnePassOnEachSideOfASeal(t *testing.T) {
	key, err := identity.GenerateKey(filepath.Join(t.TempDir(), "key"), "bench")
	if err != nil {
		t.Fatal(err)
	}
	sealing, err := envelope.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	bound, err := sealing.Bind(key)
	if err != nil {
		t.Fatal(err)
	}
	candidates := []api.Candidate{{Name: "bench", Fingerprint: key.Fingerprint(), PublicKey: key.PublicLine(""), Sealing: bound}}

	// The instrument is tested first.
	unmarshal, marshal := jsonCalls(t, func() {
		for range 3 {
			text, err := json.Marshal(api.Health{Status: "ok"})
			if err != nil {
				t.Error(err)
			}
			if err := json.Unmarshal(text, new(api.Health)); err != nil {
				t.Error(err)
			}
		}
	})
	if unmarshal != 3 || marshal != 3 {
		t.Fatalf("3 calls count as %d and %d: this version of Go allocates elsewhere in encoding/json; adapt jsonObjects", unmarshal, marshal)
	}

	unmarshal, marshal = jsonCalls(t, func() {
		offer, err := peer.NewOffer(t.Context(), peer.Config{Loopback: true}, []string{"espctl"})
		if err != nil {
			t.Fatal(err)
		}
		sent, err := envelope.SealOffer(string(offer.Description()), candidates)
		if err != nil {
			t.Fatal(err)
		}
		received, err := envelope.OpenOffer(sealing, sent.Body)
		if err != nil {
			t.Fatal(err)
		}
		description := peer.Description(received.SDP)
		if _, err := description.Fingerprint(); err != nil {
			t.Fatal(err)
		}
		_ = description.Trickles()
		agent, answer, err := peer.NewAnswer(t.Context(), peer.Config{Loopback: true}, description, func(string) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		defer agent.Close()
		signed, err := received.SealAnswer(key, "J", string(answer), "AB")
		if err != nil {
			t.Fatal(err)
		}
		opened, err := sent.OpenAnswer("J", signed)
		if err != nil {
			t.Fatal(err)
		}
		_ = peer.Description(opened.SDP).Trickles()
		client, err := offer.Connect(t.Context(), peer.Description(opened.SDP))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
	})
	if unmarshal != 2 || marshal != 2 {
		t.Errorf("descriptions were decoded %d times and encoded %d times, want 2 and 2", unmarshal, marshal)
	}
}

// jsonCalls runs f and returns how often it called json.Unmarshal and
// json.Marshal, by the objects that these functions allocate themselves: the
// decoder's state, and the result. Calls for one candidate are left out.
func jsonCalls(t *testing.T, f func()) (unmarshal, marshal int) {
	t.Helper()
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 1
	defer func() { runtime.MemProfileRate = rate }()
	before := jsonObjects()
	f()
	after := jsonObjects()
	return after["Unmarshal"] - before["Unmarshal"], after["Marshal"] - before["Marshal"]
}

// jsonObjects returns the number of objects allocated so far by each function of
// encoding/json.
func jsonObjects() map[string]int {
	runtime.GC() // two cycles publish all samples so far
	runtime.GC()
	var records []runtime.MemProfileRecord
	for n, ok := runtime.MemProfile(nil, true); !ok; n, ok = runtime.MemProfile(records, true) {
		records = make([]runtime.MemProfileRecord, n+100)
	}
	counts := map[string]int{}
	for _, r := range records {
		leaf, candidate := "", false
		frames := runtime.CallersFrames(r.Stack())
		for frame, more := frames.Next(); ; frame, more = frames.Next() {
			if leaf == "" && !strings.HasPrefix(frame.Function, "runtime.") {
				leaf = frame.Function
			}
			candidate = candidate || strings.Contains(frame.Function, "(*Trickle)")
			if !more {
				break
			}
		}
		if name, ok := strings.CutPrefix(leaf, "encoding/json."); ok && !candidate {
			counts[name] += int(r.AllocObjects)
		}
	}
	return counts
}
