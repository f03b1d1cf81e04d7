package peer

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
)

// inNamespace is set in the environment of a test in its own network namespace.
const inNamespace = "FARFORGE_PEER_NAMESPACE"

// TestPrivateAddressesGetNoPackets gives an agent an offer with candidates in
// its own network and at special addresses. It runs in a network namespace that
// has all these addresses, so that the packets can be counted.
func TestPrivateAddressesGetNoPackets(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // Debian's ip
	if os.Getenv(inNamespace) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER, Pdeathsig: syscall.SIGKILL,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		out, err := cmd.CombinedOutput()
		switch {
		case out == nil && err != nil, bytes.Contains(out, []byte("--- SKIP")):
			t.Skipf("no network namespaces: %v %s", err, out)
		case err != nil:
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	private := []string{"10.66.0.1", "192.168.7.7", "172.20.0.1", "100.64.0.9", "fd66::1"}
	special := []string{"127.0.0.1", "169.254.169.254", "168.63.129.16", "100.100.100.200"}
	const stranger = "198.51.100.7"
	for _, args := range [][]string{
		{"link", "add", "v0", "type", "veth", "peer", "name", "v1"},
		{"addr", "add", "203.0.113.1/24", "dev", "v0"},
		{"addr", "add", "2001:db8::1/64", "dev", "v0", "nodad"},
		{"link", "set", "lo", "up"}, {"link", "set", "v1", "up"}, {"link", "set", "v0", "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Skipf("ip %v: %s", args, out)
		}
	}
	all := slices.Concat(private, special, []string{stranger})
	for _, a := range all {
		if a == "127.0.0.1" {
			continue
		}
		if out, err := exec.Command("ip", "addr", "add", a, "dev", "lo").CombinedOutput(); err != nil {
			t.Skipf("add %s: %s", a, out)
		}
	}
	for name, c := range map[string]struct {
		shared bool
		want   []string
	}{
		"foreign": {false, []string{stranger}},
		"shared":  {true, append(slices.Clone(private), stranger)},
	} {
		t.Run(name, func(t *testing.T) {
			counted, at := listen(t, all...)
			offer, err := NewOffer(t.Context(), Config{}, []string{"espctl"})
			if err != nil {
				t.Fatal(err)
			}
			defer offer.Close()
			var aimed []string
			for i, a := range at {
				aimed = append(aimed, hostCandidate(i, a))
			}
			conn, _, err := NewAnswer(t.Context(), Config{HideLocal: !c.shared}, offer.Description().with(aimed...), allowAll)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			got := slices.Sorted(maps.Keys(counted.until(t, len(c.want))))
			if want := slices.Sorted(slices.Values(c.want)); !slices.Equal(got, want) {
				t.Errorf("packets went to %v, want %v", got, want)
			}
		})
	}
}
