package examples_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/front/fronttest"
)

// TestReach builds where the broker's name leads nowhere: through a real nginx
// that fronts for it, and through an AMP cache. The agent is behind the front,
// too, and the client signs in with an SSH key.
func TestReach(t *testing.T) {
	const url = "https://broker.localhost"
	needTools(t)
	f := &farm{t: t, dir: t.TempDir(), url: url}
	agents, users := f.keys("authorized_agents", "bench-1"), f.keys("authorized_users", "ada")
	ca := fronttest.NewCA(t)
	cert, key := ca.Issue("broker.localhost")
	broker := start(t, "broker", "--addr", "127.0.0.1:0", "--origin", url, "--cert", cert, "--key", key,
		"--state-dir", f.path("broker"), "--authorized-agents", agents, "--authorized-users", users, "--log-level", "debug")
	address, _, _ := strings.Cut(broker.Says(t, "listening on https://"), " ")
	nginx := fronttest.StartNginx(t, ca, true, []string{"localhost"}, map[string]string{"broker.localhost": "https://" + address})
	tap := fronttest.StartTap(t, nginx.Addr)
	_, port, _ := net.SplitHostPort(tap.Addr)
	front := "localhost:" + port
	cache := fronttest.StartAMPCache(t, ca, "localhost", address)

	agent := start(t, "proxy-agent", "run", "--url", url, "--front", front, "--utls-imitate", "hellofirefox_auto", "--ca-file", ca.File(),
		"--state-dir", f.path("bench-1"), "--name", "bench-1", "--log-level", "debug")
	agent.Says(t, "enrolled")
	agent.Says(t, "through the front "+front)

	if n := strings.Count(agent.Log.String(), "through the front"); n != 1 {
		t.Errorf("the agent says %d times which way it takes", n)
	}

	dir := f.project("hello", nil)
	userKey := filepath.Join(f.path("ada"), "agent_key")
	for want, flags := range map[string][]string{
		"through the front " + front:       {"--front", front, "--utls-imitate", "hellochrome_auto"},
		"through the AMP cache localhost:": {"--ampcache", cache.URL},
	} {
		args := append([]string{"build", dir, "--ca-file", ca.File(), "--user-key", userKey}, flags...)
		f.client(t.Context(), args...).want(t, 0, "the broker is reached "+want)
	}
	if cache.Served() < 4 { // hello, session, grant, offer
		t.Errorf("the cache has served %d pages", cache.Served())
	}
	// doc/reach.md says what fits. One agent's job must be far from that.
	if n := cache.Longest(); n > 4000 {
		t.Errorf("a job with one agent takes URLs of %d characters", n)
	} else {
		t.Logf("the longest URL has %d characters", n)
	}
	for _, why := range cache.Refused() {
		t.Errorf("the cache refused: %s", why)
	}
	if seen := string(tap.All()); strings.Contains(seen, "broker.localhost") || strings.Contains(seen, "broker-localhost") {
		t.Error("the broker's name is in clear")
	}
	r := f.client(t.Context(), "doctor", "--ca-file", ca.File(), "--user-key", userKey, "--front", front, "--ampcache", cache.URL, "--target", "esp32c3")
	r.want(t, 0)
	if strings.Count(r.stdout, ": works") != 2 || !strings.Contains(r.stdout, "agents: bench-1") {
		t.Errorf("client doctor:\n%s", r.stdout)
	}
}
