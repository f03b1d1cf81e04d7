package nat

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTextForm(t *testing.T) {
	for text, want := range map[string]NAT{
		"": {}, "blocked": {Blocked: true}, "open": {Open: true, Mapping: Independent, Filtering: Independent},
		"independent/port": {Mapping: Independent, Filtering: Port}, "port/unknown": {Mapping: Port},
		"unknown/address": {Filtering: Address},
	} {
		if got := Parse(text); got != want || got.String() != text {
			t.Errorf("%q is %+v, and is written %q", text, got, got)
		}
		if len(text) > 32 {
			t.Errorf("%q is longer than the API takes", text)
		}
	}
	if got := Parse("quantum/entangled"); got != (NAT{}) {
		t.Errorf("an unknown form is %+v", got)
	}
}

// TestCanMeet has the results of the NAT laboratory with the real programs.
func TestCanMeet(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"independent/port", "independent/port", true},
		{"independent/port", "port/port", false},
		{"port/port", "port/port", false},
		{"port/port", "independent/address", true},
		{"address/port", "independent/independent", true},
		{"address/address", "port/address", false},
		{"blocked", "open", false}, {"blocked", "blocked", false}, {"blocked", "", false},
		{"open", "port/port", true}, {"open", "open", true},
		{"", "", true}, {"", "port/port", true},
		{"independent/unknown", "port/port", true},
	} {
		if got, back := CanMeet(Parse(c.a), Parse(c.b)), CanMeet(Parse(c.b), Parse(c.a)); got != c.want || back != c.want {
			t.Errorf("%q and %q: %v, the other way round %v; want %v", c.a, c.b, got, back, c.want)
		}
	}
}

// TestBlocked probes with a silent server, and with one that cannot exist.
func TestBlocked(t *testing.T) {
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, at := range map[string]string{"silent": silent.LocalAddr().String(), "closed": "127.0.0.1:9"} {
		if got, err := Probe(t.Context(), at); err != nil || !got.Blocked {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := Probe(ctx, silent.LocalAddr().String()); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := Probe(t.Context(), "no port"); err == nil {
		t.Error("a probe went to a server without a port")
	}
}

// TestSimpleServer probes with a server that does not implement RFC 5780.
func TestSimpleServer(t *testing.T) {
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		packet := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(packet)
			if err != nil {
				return
			}
			var request stun.Message
			udp := from.(*net.UDPAddr)
			if stun.Decode(packet[:n], &request) == nil {
				response, _ := stun.Build(stun.NewTransactionIDSetter(request.TransactionID), stun.BindingSuccess, &stun.XORMappedAddress{IP: udp.IP, Port: udp.Port})
				_, _ = server.WriteTo([]byte("noise"), from)
				_, _ = server.WriteTo(response.Raw, from)
			}
		}
	}()
	got, err := Probe(t.Context(), server.LocalAddr().String())
	if err != nil || got != (NAT{}) {
		t.Errorf("%+v, %v", got, err)
	}
	_ = server.Close()
	<-done
}

func FuzzRead(f *testing.F) {
	var id [stun.TransactionIDSize]byte
	m := stun.MustBuild(stun.NewTransactionIDSetter(id), stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IPv4(192, 0, 2, 1), Port: 1}, &stun.OtherAddress{IP: net.IPv4(192, 0, 2, 2), Port: 2})
	f.Add(m.Raw)
	f.Fuzz(func(t *testing.T, packet []byte) {
		if a, ok := read(packet, id); ok && !a.mapped.IsValid() {
			t.Error("an answer without an address")
		}
	})
}
