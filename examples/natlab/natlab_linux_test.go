package natlab

import (
	"os"
	"testing"
	"time"
)

// TestNetworks runs the table: the agent's network, the client's, and whether
// the two need the relay.
func TestNetworks(t *testing.T) {
	if !enter(t) {
		return
	}
	for _, row := range []struct {
		agent, client box
		relayed       bool
	}{
		{plain, plain, false},
		{symmetric, plain, true},
		{plain, symmetric, true},
		{symmetric, symmetric, true},
		{udpBlocked, plain, true},
		{plain, udpBlocked, true},
		{udpBlocked, udpBlocked, true},
		{only443, plain, true},
		{symmetric, only443, true},
		{only443, only443, true},
	} {
		t.Run("agent "+row.agent.name+", client "+row.client.name, func(t *testing.T) {
			w := newWorld(t, row.agent, row.client, false)
			w.farm()
			got := w.build(200 << 10)
			if got.Build.Relayed != row.relayed {
				t.Errorf("relayed: %v, want %v", got.Build.Relayed, row.relayed)
			}
			t.Logf("relayed %v; %d ms to the build, %d ms in all", got.Build.Relayed, got.Build.SetupMS, got.Build.TotalMS)
		})
	}
}

// TestNATsAreRecognized probes each NAT box against the broker's relay, first with
// two addresses and then with one, and compares the result with the box's rules.
func TestNATsAreRecognized(t *testing.T) {
	if !enter(t) {
		return
	}
	open := box{"none", "accept", ""}
	for _, row := range []struct {
		box    box
		second []string
		want   string
	}{
		{plain, []string{"--relay-public-ip", secondIP}, "independent/port"},
		{symmetric, []string{"--relay-public-ip", secondIP}, "port/port"},
		{udpBlocked, []string{"--relay-public-ip", secondIP}, "blocked"},
		{open, []string{"--relay-public-ip", secondIP}, "independent/port"}, // a firewall alone
		{plain, nil, "independent/port"},
		{symmetric, nil, "port/port"},
	} {
		t.Run(row.box.name, func(t *testing.T) {
			w := newWorld(t, plain, row.box, false)
			w.run("ip", "-n", "public", "route", "add", "10.2.0.0/24", "via", "198.51.100.6")
			w.farm(append([]string{"--relay-public-ip", publicIP}, row.second...)...)
			out, err := w.command("client", os.Args[0], "probe", publicIP+":3478").CombinedOutput()
			if err != nil || string(out) != row.want {
				t.Errorf("%s, %v; want %s", out, err, row.want)
			}
		})
	}
}

// TestBadLine puts the client behind a line with delay, loss and reordering. The
// build must be slow and correct.
func TestBadLine(t *testing.T) {
	if !enter(t) {
		return
	}
	w := newWorld(t, plain, plain, true)
	w.farm()
	start := time.Now()
	got := w.build(50 << 10)
	if got.Build.Relayed {
		t.Error("plain NATs were relayed")
	}
	if took := time.Since(start); took < 20*lineDelay {
		t.Errorf("it took only %v: the bad line had no effect", took)
	}
	t.Logf("%d ms to the build, %d ms in all", got.Build.SetupMS, got.Build.TotalMS)
}
