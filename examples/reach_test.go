package examples_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/front/fronttest"
)

// TestReach builds where the broker's name does not resolve: through a real nginx
// as a front, and through an AMP cache. The agent uses the front, too, and the
// client authenticates with an SSH key.
func TestReach(t *testing.T) {
	const url = "https://broker.localhost"
	needTools(t)
	f := &farm{t: t, dir: t.TempDir(), url: url}
	agents, users := f.keys("authorized_agents", "bench-1"), f.keys("authorized_users", "ada")
	ca := fronttest.NewCA(t)
	cert, key := ca.Issue("broker.localhost")
	broker := start(t, "broker", "--addr", "127.0.0.1:0", "--origin", url, "--cert", cert, "--key", key,
		"--state-dir", f.path("broker"), "--authorized-agents", agents, "--authorized-users", users, "--log-level", "debug")
	address, _, _ := strings.Cut(broker.WaitFor(t, "listening on https://"), " ")
	nginx := fronttest.StartNginx(t, ca, true, []string{"localhost"}, map[string]string{"broker.localhost": "https://" + address})
	tap := fronttest.StartTap(t, nginx.Addr)
	_, port, _ := net.SplitHostPort(tap.Addr)
	front := "localhost:" + port
	cache := fronttest.StartAMPCache(t, ca, "localhost", address)

	agent := start(t, "proxy-agent", "run", "--url", url, "--front", front, "--utls-imitate", "hellofirefox_auto", "--ca-file", ca.File(),
		"--state-dir", f.path("bench-1"), "--name", "bench-1", "--log-level", "debug")
	agent.WaitFor(t, "enrolled")
	agent.WaitFor(t, "through the front "+front)

	if n := strings.Count(agent.Log.String(), "through the front"); n != 1 {
		t.Errorf("the agent logs its way to the broker %d times, want 1", n)
	}

	dir := f.project("hello", nil)
	userKey := filepath.Join(f.path("ada"), "agent_key")
	for want, flags := range map[string][]string{
		"through the front " + front:       {"--front", front, "--utls-imitate", "hellochrome_auto"},
		"through the AMP cache localhost:": {"--ampcache", cache.URL},
	} {
		args := append([]string{"build", dir, "--ca-file", ca.File(), "--user-key", userKey}, flags...)
		f.client(t.Context(), args...).want(t, 0, "the client reaches the broker "+want)
	}
	if cache.Served() < 4 { // hello, session, grant, offer
		t.Errorf("the cache has served %d pages, want 4 or more", cache.Served())
	}
	// doc/reach.md states the limit. A job with one agent must stay far below it.
	if n := cache.Longest(); n > 4000 {
		t.Errorf("a job with one agent has URLs of %d characters", n)
	} else {
		t.Logf("the longest URL has %d characters", n)
	}
	for _, why := range cache.Refused() {
		t.Errorf("the cache refused a page: %s", why)
	}
	if seen := string(tap.All()); strings.Contains(seen, "broker.localhost") || strings.Contains(seen, "broker-localhost") {
		t.Error("the broker's name appears in clear")
	}
	r := f.client(t.Context(), "doctor", "--ca-file", ca.File(), "--user-key", userKey, "--front", front, "--ampcache", cache.URL, "--target", "esp32c3")
	r.want(t, 0)
	if strings.Count(r.stdout, ": works") != 2 || !strings.Contains(r.stdout, "agents: bench-1") {
		t.Errorf("client doctor:\n%s", r.stdout)
	}
}
