package server

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
)

// published is the grant request in the documentation of the system that defined
// this protocol, byte for byte except for the digits of the fingerprint.
const published = `{
  "peer_fingerprint": "sha-256:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67:89",
  "required_channels": ["espctl", "pty", "firmware"],
  "cpu_cores": 2.0,
  "memory_mb": 1024,
  "timeout_secs": 600
}`

// TestPublishedGrantRequest sends the published bytes, and others with fractions
// of a core and other spellings of the hash, to the broker's handler. The grant
// keeps the exact share; an agent reserves whole cores.
func TestPublishedGrantRequest(t *testing.T) {
	w := newWorld(t)
	listed := w.listAgent("bench-1")
	b := w.start()
	a := b.login(listed)
	for _, c := range []struct {
		name, from, to string
		share          string
		whole          int
	}{
		{name: "as published", share: "2", whole: 2},
		{name: "half a core", from: "2.0", to: "0.5", share: "0.5", whole: 1},
		{name: "two and a quarter cores", from: "2.0", to: "2.25", share: "2.25", whole: 3},
		{name: "upper case", from: "sha-256:ab", to: "SHA-256:AB", share: "2", whole: 2},
		{name: "as SDP spells it", from: "sha-256:", to: "sha-256 ", share: "2", whole: 2},
		{name: "without the hash", from: "sha-256:", to: "", share: "2", whole: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			poll := b.park(t.Context(), a)
			body := strings.Replace(published, c.from, c.to, 1)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+api.PathGrantRequest, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", api.TypeJSON)
			granted := as[api.GrantResponse](t, b.do(req), http.StatusOK)
			b.meet(granted, a, poll)

			ticket, err := b.srv.board.Redeem(granted.Grant, granted.JobID, 0)
			if err != nil {
				t.Fatal(err)
			}
			g := ticket.Grant
			if g.CPUCores.String() != c.share || g.CPUCores.Whole() != c.whole {
				t.Errorf("the grant is for %v cores, %d whole ones", g.CPUCores, g.CPUCores.Whole())
			}
			if !slices.Equal(g.Channels, []string{"espctl", "pty", "firmware"}) {
				t.Errorf("the grant has the channels %q", g.Channels)
			}
			if free := b.srv.info(t, a.key.Fingerprint()).FreeCores; free != idleStatus().TotalCores-c.whole {
				t.Errorf("%d cores are free", free)
			}
			b.report(a, granted.JobID, api.OutcomeSucceeded)

			// The token has the same claims as the broker's record.
			claims, err := base64.RawURLEncoding.DecodeString(strings.Split(granted.Grant, ".")[1])
			if err != nil {
				t.Fatal(err)
			}
			digits, _ := hex.DecodeString(strings.Repeat("abcdef0123456789", 4))
			for _, want := range []string{`"cpu_cores":` + c.share, base64.RawURLEncoding.EncodeToString(digits)} {
				if !strings.Contains(string(claims), want) {
					t.Errorf("%s is not in the token %s", want, claims)
				}
			}
		})
	}
}
