package signaling

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/front/fronttest"
)

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// names returns the steps of a probe, a failing one with an exclamation mark.
func names(p Probe) string {
	var out []string
	for _, s := range p.Steps {
		if s.Err != nil {
			s.Name += "!"
		}
		out = append(out, s.Name)
	}
	return strings.Join(out, " ")
}

func TestProbe(t *testing.T) {
	f := farBroker(t)
	filter := fronttest.StartFilter(t)
	nginx := f.nginx(t, true)
	stranger := fronttest.StartNginx(t, fronttest.NewCA(t), true, []string{"localhost"}, nil)
	cache := fronttest.StartAMPCache(t, f.ca, "localhost", f.tls.Listener.Addr().String())
	f.url = "https://" + nowhere
	want := map[string]string{
		"":                  "name!",
		port(filter):        "name connect tls!",
		port(nginx.Addr):    "name connect tls http!", // it does not know the onion
		port(stranger.Addr): "name connect tls!",
		"localhost:1":       "name connect!",
	}
	r := Reach{Legs: []string{LegDirect, LegFront, LegAMP}, AMPCache: cache.URL}
	for host := range want {
		if host != "" {
			r.Fronts = append(r.Fronts, host)
		}
	}
	for _, imitate := range []string{"", "hellofirefox_auto"} {
		r.Imitate = imitate
		c := f.client(t, r, nil)
		seen := 0
		c.Probe(t.Context(), func(p Probe) {
			seen++
			expected := want[p.Way.Via]
			if p.Way.Leg == LegAMP {
				expected = "name connect tls http keys clock"
				if !p.Works() || p.Health == nil || p.Health.Version != "test" {
					t.Errorf("%q: %+v", imitate, p)
				}
			} else if p.Works() {
				t.Errorf("%v works", p.Way)
			}
			if got := names(p); got != expected {
				t.Errorf("%q, %v: %s, want %s: %v", imitate, p.Way, got, expected, p.Steps[len(p.Steps)-1].Err)
			}
		})
		if seen != len(want)+1 {
			t.Errorf("%d ways", seen)
		}
		if way, ok := c.Way(); !ok || way.Leg != LegAMP {
			t.Errorf("after the probe it uses %v", way)
		}
	}
}

func TestReachThatIsRefused(t *testing.T) {
	for want, r := range map[string]Reach{
		"not a way":           {Legs: []string{"teleport"}},
		"twice":               {Legs: []string{LegDirect, LegDirect}},
		"needs a --front":     {Legs: []string{LegFront}},
		"needs an --ampcache": {Legs: []string{LegAMP}},
		"--front:":            {Fronts: []string{"https://cdn.example"}},
		"--ampcache-front:":   {AMPCache: "https://x", AMPFronts: []string{""}},
		"needs --ampcache":    {AMPFronts: []string{"x"}},
		"--ampcache:":         {AMPCache: "http://cdn.example"},
		"--utls-imitate:":     {Imitate: "netscape"},
		"--proxy: \"ftp":      {Proxy: "ftp://x"},
		"password":            {Proxy: "http://me:secret@x"},
		"--ca-file:":          {CAFile: "/does/not/exist"},
		"only https":          {Fronts: []string{"cdn.example"}},
	} {
		url := "https://broker.example.org"
		if want == "only https" {
			url = "http://broker.example.org"
		}
		if _, err := NewWays(url, r, nil, nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v; want %q", r, err, want)
		}
	}
}

// TestDirectWayNeedsARequest: with a front or a cache, the direct way is used only
// if it is listed.
func TestDirectWayNeedsARequest(t *testing.T) {
	for want, r := range map[string]Reach{
		"direct":    {},
		"front":     {Fronts: []string{"a"}},
		"amp":       {AMPCache: "https://a"},
		"front amp": {Fronts: []string{"a"}, AMPCache: "https://a"},
	} {
		if got := strings.Join(r.legs(), " "); got != want {
			t.Errorf("%+v: %s, want %s", r, got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	var r Reach
	f := pflag.NewFlagSet("x", pflag.ContinueOnError)
	r.Register(f, true)
	if err := f.Parse([]string{"--front", "a,b", "--front", "c", "--rendezvous", "direct,front"}); err != nil {
		t.Fatal(err)
	}
	if len(r.Fronts) != 3 || len(r.Legs) != 2 || r.Validate() != nil {
		t.Errorf("%+v, %v", r, r.Validate())
	}
	agent := pflag.NewFlagSet("x", pflag.ContinueOnError)
	new(Reach).Register(agent, false)
	if agent.Lookup("ampcache") != nil || agent.Lookup("front") == nil {
		t.Error("an agent has the flags of a client")
	}
}

// TestFrontsInRandomOrder: many clients with one list spread over it.
func TestFrontsInRandomOrder(t *testing.T) {
	first := map[Way]bool{}
	for range 200 {
		w, err := NewWays("https://broker.example.org", Reach{Fronts: []string{"a", "b", "c"}}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		first[w.routes[0].Way] = true
	}
	if len(first) != 3 {
		t.Errorf("of three fronts, %v come first", first)
	}
}

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
