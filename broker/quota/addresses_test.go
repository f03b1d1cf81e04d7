package quota

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

func TestNetworks(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.0/24", "192.0.2.255": "192.0.2.0/24", "192.0.3.1": "192.0.3.0/24",
		"::ffff:192.0.2.9": "192.0.2.0/24", "2001:db8:0:ff::1": "2001:db8::/56", "2001:db8:0:100::1": "2001:db8:0:100::/56",
		"fe80::1%eth0": "fe80::/56", "127.0.0.1": "127.0.0.0/24",
	} {
		if got := Network(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("%s is of %s, want %s", addr, got, want)
		}
	}
	if got := Network(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("no address is in %s", got)
	}
}

func TestNetworksAreLimitedSeparately(t *testing.T) {
	a := NewAddresses(2, 4, 100)
	flood, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	for i := range 4 {
		if _, ok := a.Allow(flood, noon); !ok {
			t.Fatalf("request %d of 4 was refused", i+1)
		}
	}
	for range 100 {
		if wait, ok := a.Allow(flood, noon); ok || wait != 500*time.Millisecond {
			t.Fatalf("request 5: %v, %v", wait, ok) // a refused request extends no wait
		}
	}
	if _, ok := a.Allow(netip.MustParseAddr("192.0.2.77"), noon); ok {
		t.Error("a neighbor in the same network is let through")
	}
	if _, ok := a.Allow(other, noon); !ok {
		t.Error("another network pays for the flood")
	}
	if _, ok := a.Allow(flood, noon.Add(500*time.Millisecond)); !ok {
		t.Error("it does not recover")
	}
}

// TestMemoryIsBounded: a flood of addresses takes bounded memory, and does not free
// a network that goes on sending.
func TestMemoryIsBounded(t *testing.T) {
	const size = 1 << 12
	a := NewAddresses(1, 1, size)
	flood := netip.MustParseAddr("192.0.2.1")
	a.Allow(flood, noon)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range uint32(20 * size) {
		b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
		binary.BigEndian.PutUint32(b[3:], i)
		a.Allow(netip.AddrFrom16(b), noon)
		if i%(size/2) == 0 {
			if _, ok := a.Allow(flood, noon); ok {
				t.Fatalf("it was forgotten after %d networks", i)
			}
		}
		if n := a.buckets.Len(); n > 2*size {
			t.Fatalf("%d networks are remembered, at most %d should be", n, 2*size)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2*size*512 {
		t.Errorf("it took %d bytes a network", grown/(2*size))
	}
	runtime.KeepAlive(a)
}
