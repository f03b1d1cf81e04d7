package signaling

import (
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/farforge/farforge/common/api"
)

func TestProbeNAT(t *testing.T) {
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, c := range map[string]struct {
		health any
		want   string
		fails  bool
	}{
		"a server that is out of reach": {api.Health{Status: "ok", STUN: []string{"stuns:x", "stun:" + silent.LocalAddr().String()}}, "blocked", false},
		"no server":                     {api.Health{Status: "ok"}, "", false},
		"no address":                    {api.Health{Status: "ok", STUN: []string{"stun:nonsense"}}, "", true},
		"no health":                     {[]int{1}, "", true},
	} {
		b := broker(t, map[string]http.HandlerFunc{"GET " + api.PathHealth: func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, c.health) }})
		got, err := b.ProbeNAT(t.Context())
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		var u *Unreachable
		if name == "no health" && !errors.As(err, &u) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
