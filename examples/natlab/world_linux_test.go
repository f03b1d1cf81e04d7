package natlab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/front/fronttest"
)

// Addresses of the laboratory, all from the ranges for documentation and for
// private use.
const (
	publicIP  = "203.0.113.1"
	secondIP  = "203.0.113.2"
	agentIP   = "10.1.0.2"
	clientIP  = "10.2.0.2"
	brokerURL = "https://" + publicIP
)

// box is a NAT box: nftables rules in addition to those of every box.
type box struct {
	name string
	// masquerade is the mapping: "masquerade" keeps ports, so that all packets
	// use one mapping; "masquerade fully-random" makes one mapping per
	// destination.
	masquerade string
	// forward holds further rules for forwarded packets.
	forward string
}

var (
	plain      = box{"plain", "masquerade", ""}
	symmetric  = box{"symmetric", "masquerade fully-random", ""}
	udpBlocked = box{"UDP blocked", "masquerade", `iifname "lan" meta l4proto udp drop`}
	only443    = box{"only TCP 443", "masquerade", `iifname "lan" meta l4proto udp drop; iifname "lan" tcp dport != 443 drop`}
)

// rules returns all rules of the box. The box drops unsolicited packets: if it
// answered them, it would spoil the mapping of the next outgoing packet.
func (b box) rules() string {
	return fmt.Sprintf(`
table ip box {
	chain mapping { type nat hook postrouting priority 100; oifname "wan" %s; }
	chain input { type filter hook input priority 0; iifname "wan" ct state new drop; }
	chain forward {
		type filter hook forward priority 0
		iifname "wan" ct state new drop
		%s
	}
}`, b.masquerade, strings.ReplaceAll(b.forward, "; ", "\n\t\t"))
}

// world is one set of network namespaces.
type world struct {
	t   *testing.T
	dir string
	ca  *fronttest.CA
}

func newWorld(t *testing.T, agent, client box, bad bool) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), ca: fronttest.NewCA(t)}
	for _, ns := range []string{"public", "nat-a", "nat-b", "agent", "client"} {
		w.run("ip", "netns", "add", ns)
		t.Cleanup(func() { w.run("ip", "netns", "delete", ns) })
		w.run("ip", "-n", ns, "link", "set", "lo", "up")
	}
	for _, ip := range []string{publicIP, secondIP} {
		w.run("ip", "-n", "public", "address", "add", ip+"/32", "dev", "lo")
	}
	w.side("a", "198.51.100.1", "198.51.100.2", "10.1.0.1", agentIP, "agent", agent, false)
	w.side("b", "198.51.100.5", "198.51.100.6", "10.2.0.1", clientIP, "client", client, bad)
	w.in("public", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	return w
}

// side builds one NAT box and the host behind it.
func (w *world) side(id, provider, outside, inside, host, ns string, b box, bad bool) {
	w.t.Helper()
	nat := "nat-" + id
	w.run("ip", "link", "add", "to-"+id, "netns", "public", "type", "veth", "peer", "name", "wan", "netns", nat)
	w.up("public", "to-"+id, provider+"/30")
	w.up(nat, "wan", outside+"/30")
	if bad {
		w.badLine(ns, nat)
	} else {
		w.run("ip", "link", "add", "lan", "netns", nat, "type", "veth", "peer", "name", "eth0", "netns", ns)
	}
	w.up(nat, "lan", inside+"/24")
	w.up(ns, "eth0", host+"/24")
	w.run("ip", "-n", nat, "route", "add", "default", "via", provider)
	w.run("ip", "-n", ns, "route", "add", "default", "via", inside)
	w.in(nat, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	nft := w.command(nat, "nft", "-f", "-")
	nft.Stdin = strings.NewReader(b.rules())
	if out, err := nft.CombinedOutput(); err != nil {
		w.t.Fatalf("nft: %v\n%s\n%s", err, out, b.rules())
	}
}

func (w *world) up(ns, dev, address string) {
	w.t.Helper()
	w.run("ip", "-n", ns, "address", "add", address, "dev", dev)
	w.run("ip", "-n", ns, "link", "set", dev, "up")
}

func (w *world) run(name string, args ...string) {
	w.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// command returns a command in a namespace; it is not started yet.
func (w *world) command(ns, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.t.Context(), "ip", append([]string{"netns", "exec", ns, name}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+w.dir, "XDG_CONFIG_HOME="+w.dir, "NO_COLOR=1", "SSL_CERT_FILE="+w.ca.File())
	return cmd
}

func (w *world) in(ns, name string, args ...string) {
	w.t.Helper()
	if out, err := w.command(ns, name, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("in %s: %s %s: %v\n%s", ns, name, strings.Join(args, " "), err, out)
	}
}

func untilJustBefore(deadline time.Time) time.Duration {
	return max(time.Until(deadline)-5*time.Second, time.Second).Truncate(time.Second)
}
