package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/quota"
	"github.com/farforge/farforge/broker/users"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

// polls polls with a status for the agent, without a wait.
func (b *broker) polls(a *agent, change func(*api.Status)) {
	b.t.Helper()
	s := idleStatus()
	change(s)
	as[struct{}](b.t, b.post(api.PathAgentPoll+"?wait=0", a.session, s), 204)
}

// agents requests the list and follows its links to the end.
func (b *broker) agents(token, query string) (all []api.AgentInfo, pages int) {
	b.t.Helper()
	for next := api.PathAgents + query; next != ""; pages++ {
		r := b.send(b.t.Context(), http.MethodGet, next, token, nil)
		if len(r.body) > api.MaxBody {
			b.t.Errorf("a page of %d bytes", len(r.body))
		}
		all = append(all, as[[]api.AgentInfo](b.t, r, 200)...)
		next, _, _ = strings.Cut(strings.TrimPrefix(r.header.Get("Link"), "<"), `>; rel="next"`)
	}
	return all, pages
}

func namesOf(agents []api.AgentInfo) string {
	var names []string
	for _, a := range agents {
		names = append(names, a.Name)
	}
	return strings.Join(names, " ")
}

func TestUsersSeeTheAgents(t *testing.T) {
	w := newWorld(t)
	c, a, d, off := w.listAgent("c"), w.listAgent("a"), w.listAgent("d"), w.listAgent("b")
	for i := range w.agents {
		if w.agents[i].Name == "d" {
			w.agents[i].Targets = []string{"esp32"}
		}
	}
	b := w.start()
	for _, x := range []*agent{a, c, d} {
		b.login(x)
	}
	b.polls(a, func(*api.Status) {})
	b.polls(c, func(s *api.Status) {
		s.Draining, s.RunningJobs, s.Tags = true, []string{"a-job"}, []string{"eu", "fast"}
		s.Capabilities[0].Version = "12.3.0"
	})
	b.polls(d, func(s *api.Status) {
		s.Warm, s.NAT = []string{"a-project"}, "open"
		s.Capabilities = []api.Capability{{Target: "esp32", Toolchain: "xtensa-gcc", Version: "8.4"}, {Target: "esp32c3", Toolchain: "riscv-gcc", Version: "12.3.0"}}
	})

	all, _ := b.agents("", "")
	if namesOf(all) != "a b c d" || all[0].State != api.AgentIdle || all[1].State != api.AgentOffline || all[2].State != api.AgentDraining {
		t.Fatalf("%+v", all)
	}
	if all[1].LastSeen != nil || all[1].Fingerprint != off.key.Fingerprint() || time.Since(*all[0].LastSeen) > time.Minute {
		t.Errorf("last seen: %+v", all)
	}
	if !slices.Equal(all[3].Capabilities, []api.Capability{{Target: "esp32", Toolchain: "xtensa-gcc", Version: "8.4"}}) {
		t.Errorf("an agent with a limited list of targets: %+v", all[3])
	}
	// The list has no field but those of the type, and nothing about jobs and
	// projects.
	raw := b.send(t.Context(), "GET", api.PathAgents, "", nil)
	if text := string(raw.body); strings.Contains(text, "a-job") || strings.Contains(text, "a-project") || strings.Contains(text, "127.0.0.1") || strings.Contains(text, "ssh-") {
		t.Errorf("the list has too much: %s", text)
	}
	var again any
	written, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var shown any
	if json.Unmarshal(raw.body, &shown) != nil || json.Unmarshal(written, &again) != nil || !reflect.DeepEqual(shown, again) {
		t.Errorf("the list has more than its type: %s", raw.body)
	}

	for query, want := range map[string]string{
		"?target=esp32c3": "a c", "?target=esp32": "d", "?toolchain=riscv-gcc": "a c", "?toolchain=riscv-gcc@~12.2": "a",
		"?target=esp32c3&toolchain=xtensa-gcc": "", "?tag=eu": "c", "?tag=eu&tag=fast": "c", "?tag=eu&tag=us": "", "?unknown=1": "a b c d",
		"?after=" + strings.ReplaceAll(a.key.Fingerprint(), "+", "%2B"): "b c d",
	} {
		if got, _ := b.agents("", query); namesOf(got) != want {
			t.Errorf("%s: %s, want %s", query, namesOf(got), want)
		}
	}
	for query, parameter := range map[string]string{
		"?target=a%20b": "target: ", "?target=a&target=b": "target: ", "?toolchain=@1": "toolchain: ", "?tag=": "tag: ", "?tag=%1b": "tag: ", "?target=%zz": "the query: ",
	} {
		if p := wantProblem(t, b.send(t.Context(), "GET", api.PathAgents+query, "", nil), 400, api.CodeMalformed); !strings.Contains(p.Detail, parameter) {
			t.Errorf("%s: %+v", query, p)
		}
	}
	wantProblem(t, b.send(t.Context(), "GET", api.PathAgents+"?after=SHA256:x", "", nil), 410, api.CodeExpired)
	wantProblem(t, b.send(t.Context(), "DELETE", api.PathAgents, "", nil), 405, api.CodeWrongMethod)
}

// TestTheListFollowsJobs: a claimed job counts at once, and an agent that fails
// repeatedly is listed as resting.
func TestTheListFollowsJobs(t *testing.T) {
	w := newWorld(t)
	a := w.listAgent("a")
	b := w.start()
	b.login(a)
	poll := b.park(t.Context(), a)
	g := b.grant()
	offer := b.offer(t.Context(), g, "")
	as[api.Job](t, <-poll, 200)
	if all, _ := b.agents("", ""); all[0].State != api.AgentBusy || all[0].RunningJobs != 1 || all[0].FreeCores != 3 || all[0].FreeMemMB != 4096-256 {
		t.Errorf("with a job: %+v", all)
	}
	as[struct{}](t, b.answer(a, g.JobID), 204)
	wantAnswer(t, offer, a)
	b.report(a, g.JobID, api.OutcomeSucceeded)
	b.polls(a, func(*api.Status) {})
	if all, _ := b.agents("", ""); all[0].State != api.AgentIdle || all[0].RunningJobs != 0 || all[0].FreeCores != 4 {
		t.Errorf("after the job: %+v", all)
	}
}

func TestTheListIsForUsers(t *testing.T) {
	c := newClub(t)
	key := c.key(users.Add{Name: "alice"})
	addresses := quota.NewAddresses(0.001, 6, 1<<10)
	adjust := c.adjust
	c.adjust = func(cfg *Config) {
		adjust(cfg)
		cfg.Addresses, cfg.Accounts = addresses, quota.NewAccounts(quota.Limits{Grants: 1})
	}
	b := c.open().from("127.66.7.1") // from elsewhere, with a few requests
	get := func(token string) reply { return b.send(t.Context(), "GET", api.PathAgents, token, nil) }
	wantProblem(t, get(""), 401, api.CodeUnauthorized)
	wantProblem(t, get("x"), 401, api.CodeBadToken)
	wantProblem(t, get(c.agent.session), 401, api.CodeBadToken)
	for range 3 { // more than the grants that alice may have
		if all := as[[]api.AgentInfo](t, get(key), 200); namesOf(all) != "bench-1" {
			t.Errorf("%+v", all)
		}
	}
	wantProblem(t, get(key), 429, api.CodeTooFast)
}

// manyAgents returns agents without keys, which cannot log in.
func manyAgents(n int) []identity.Authorized {
	agents := make([]identity.Authorized, n)
	for i := range agents {
		agents[i] = identity.Authorized{Name: fmt.Sprintf("bench-%06d", i), Fingerprint: fmt.Sprintf("SHA256:%043d", i)}
		if i%3 == 0 {
			agents[i].Tags = []string{"third"}
		}
	}
	return agents
}

func TestManyAgentsComeInPages(t *testing.T) {
	const many = 3000
	w := newWorld(t)
	w.agents = manyAgents(many)
	near := w.start()
	for i := range many {
		if err := near.srv.cfg.Directory.Update(w.agents[i].Fingerprint, idleStatus(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range map[string]*broker{"directly": near, "through AMP": near.throughAMP()} {
		for query, want := range map[string]int{"": many, "?target=esp32c3&toolchain=riscv-gcc%4012.2&tag=third": many / 3, "?target=esp32": 0} {
			all, pages := b.agents("", query)
			if len(all) != want || (want > 0) != (pages > 3) || !slices.IsSortedFunc(all, func(a, b api.AgentInfo) int { return strings.Compare(a.Name, b.Name) }) {
				t.Errorf("%s, %q: %d agents on %d pages", name, query, len(all), pages)
			}
			once := slices.CompactFunc(slices.Clone(all), func(a, b api.AgentInfo) bool { return a.Name == b.Name })
			if len(once) != len(all) {
				t.Errorf("%s, %q: agents are listed twice", name, query)
			}
		}
	}
}

// TestTheLongestStatusFits: an agent whose status is longer than a page does not
// stop the list.
func TestTheLongestStatusFits(t *testing.T) {
	w := newWorld(t)
	w.agents = manyAgents(3)
	b := w.start()
	long := idleStatus()
	for i := range api.MaxCapabilities {
		long.Capabilities = append(long.Capabilities, api.Capability{Target: fmt.Sprint("t", i, strings.Repeat("x", 50)), Toolchain: strings.Repeat("y", 64), Version: strings.Repeat("<", 32)})
	}
	for _, a := range w.agents {
		if err := b.srv.cfg.Directory.Update(a.Fingerprint, long, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	all, pages := b.agents("", "")
	if len(all) != 3 || pages != 3 || len(all[0].Capabilities) < 100 {
		t.Errorf("%d agents on %d pages", len(all), pages)
	}
}

// BenchmarkList pages through all agents of a large farm.
func BenchmarkList(b *testing.B) {
	const many = 100_000
	w := newWorld(b)
	w.agents = manyAgents(many)
	near := w.start()
	for i := range many {
		_ = near.srv.cfg.Directory.Update(w.agents[i].Fingerprint, idleStatus(), time.Now())
	}
	for b.Loop() {
		all, pages := near.agents("", "")
		if len(all) != many {
			b.Fatalf("%d agents on %d pages", len(all), pages)
		}
		b.ReportMetric(float64(pages), "pages")
	}
}
