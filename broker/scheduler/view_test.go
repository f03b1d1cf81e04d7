package scheduler

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/farforge/farforge/broker/directory"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/capacity"
)

func TestInfo(t *testing.T) {
	const grace = 20 * time.Second
	promise := func(f *testFarm, job string) {
		f.dir.Reserve("SHA256:a", directory.Reservation{Job: job, Need: capacity.Capacity{Cores: 3, MemoryMB: 1000}, Since: now, Until: now.Add(time.Hour)})
	}
	for name, c := range map[string]struct {
		change func(*directory.Agent)
		farm   func(*testFarm)
		want   func(*api.AgentInfo)
	}{
		"idle": {want: func(i *api.AgentInfo) { i.State = api.AgentIdle }},
		"busy by its status": {
			change: func(a *directory.Agent) {
				a.Status.RunningJobs, a.Status.FreeCores, a.Status.FreeMemMB = []string{"x", "y"}, 1, 96
			},
			want: func(i *api.AgentInfo) { i.State, i.RunningJobs, i.FreeCores, i.FreeMemMB = api.AgentBusy, 2, 1, 96 },
		},
		"busy by its account": {
			farm: func(f *testFarm) { promise(f, "x") },
			want: func(i *api.AgentInfo) {
				i.State, i.RunningJobs, i.FreeCores, i.FreeMemMB = api.AgentBusy, 1, 5, 16384-1000
			},
		},
		"a job that is listed and reserved": {
			change: func(a *directory.Agent) {
				a.Status.RunningJobs, a.Status.FreeCores, a.Status.FreeMemMB = []string{"x"}, 5, 15384
			},
			farm: func(f *testFarm) { promise(f, "x") },
			want: func(i *api.AgentInfo) { i.State, i.RunningJobs, i.FreeCores, i.FreeMemMB = api.AgentBusy, 1, 5, 15384 },
		},
		"draining": {
			change: func(a *directory.Agent) { a.Status.Draining, a.Status.RunningJobs = true, []string{"x"} },
			want: func(i *api.AgentInfo) {
				i.State, i.RunningJobs, i.FreeCores, i.FreeMemMB = api.AgentDraining, 1, 0, 0
			},
		},
		"resting": {
			farm: func(f *testFarm) { f.failed("a", 6, now) },
			want: func(i *api.AgentInfo) { i.State = api.AgentResting },
		},
		"offline": {
			change: func(a *directory.Agent) { a.Parked, a.LastSeen = false, now.Add(-grace-time.Second) },
			want: func(i *api.AgentInfo) {
				seen := now.Add(-grace - time.Second).UTC()
				i.State, i.FreeCores, i.FreeMemMB, i.LastSeen = api.AgentOffline, 0, 0, &seen
			},
		},
		"never seen": {
			change: func(a *directory.Agent) { a.Parked, a.Status, a.LastSeen = false, nil, time.Time{} },
			want: func(i *api.AgentInfo) {
				*i = api.AgentInfo{Fingerprint: i.Fingerprint, Name: i.Name, State: api.AgentOffline, Tags: i.Tags}
			},
		},
		"limited to a target": {
			change: func(a *directory.Agent) { a.Targets = []string{"esp32", "esp8266"} },
			want: func(i *api.AgentInfo) {
				i.State, i.Capabilities = api.AgentIdle, []api.Capability{{Target: "esp32", Toolchain: "esp-idf", Version: "5.4"}}
			},
		},
		"tricks on terminals": {
			change: func(a *directory.Agent) {
				a.Name, a.Status.Version, a.Status.NAT = "a\x1b[2J", "1\n2\u202e", "\x1b]0;x\x07"
				a.Status.Capabilities = []api.Capability{{Target: "esp32", Toolchain: "x", Version: "\u009b31m1"}}
			},
			want: func(i *api.AgentInfo) {
				i.State, i.Name, i.Version, i.NAT = api.AgentIdle, "a[2J", "12", ""
				i.Capabilities = []api.Capability{{Target: "esp32", Toolchain: "x", Version: "31m1"}}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := agent("a", "esp32c3 esp-idf 5.3.1", "esp32 esp-idf 5.4")
			a.Tags, a.Status.NAT, a.Status.Version = []string{"eu"}, "independent/port", "v1"
			a.Status.TotalCores, a.Status.FreeCores, a.Status.TotalMemMB, a.Status.FreeMemMB = 8, 8, 16384, 16384
			f := newTestFarm()
			f.list(a)
			if c.farm != nil {
				f.set(a, now)
				c.farm(f)
			}
			want := api.AgentInfo{
				Fingerprint: a.Fingerprint, Name: "a", Version: "v1", TotalCores: 8, FreeCores: 8, TotalMemMB: 16384, FreeMemMB: 16384,
				Capabilities: slices.Clone(a.Status.Capabilities), Tags: a.Tags, NAT: "independent/port",
			}
			if !a.LastSeen.IsZero() {
				seen := a.LastSeen.UTC().Truncate(time.Second)
				want.LastSeen = &seen
			}
			if c.change != nil {
				status := *a.Status
				a.Status = &status
				c.change(&a)
			}
			f.list(a)
			f.set(a, now)
			c.want(&want)
			got := f.info(a.Fingerprint, &Options{Now: now, Grace: grace})
			if got.LastSeen != nil && want.LastSeen != nil && got.LastSeen.Equal(*want.LastSeen) {
				got.LastSeen, want.LastSeen = nil, nil
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// TestExpiredReservationsAreCounted, and do not count as promised.
func TestExpiredReservationsAreCounted(t *testing.T) {
	a := buildsIDF("a")
	f := farmOf(a)
	if !f.dir.Reserve(a.Fingerprint, directory.Reservation{Job: "x", Need: capacity.Capacity{Cores: 8, MemoryMB: 1}, Since: now, Until: now.Add(time.Second)}) {
		t.Fatal("no room")
	}
	later := now.Add(2 * time.Second)
	if i := f.info(a.Fingerprint, &Options{Now: later, Grace: time.Minute}); i.State != api.AgentIdle || i.FreeCores != 8 {
		t.Errorf("a reservation whose time is over still counts: %+v", i)
	}
	if s := f.dir.Totals(later); s.Reservations != 0 || s.Expired != 1 {
		t.Errorf("%+v", s)
	}
}

func TestMeets(t *testing.T) {
	a := agent("a", "esp32c3 esp-idf 5.3.1", "esp32 gcc 12")
	a.Tags, a.Parked = []string{"eu", "fast"}, false
	for _, c := range []struct {
		need Need
		want bool
	}{
		{Need{}, true}, {Need{Target: "esp32"}, true}, {Need{Target: "esp32s3"}, false},
		{Need{Toolchain: need("gcc")}, true}, {Need{Target: "esp32c3", Toolchain: need("gcc")}, false},
		{Need{Toolchain: need("esp-idf@~5.3")}, true}, {Need{Toolchain: need("esp-idf@5.4")}, false},
		{Need{Tags: []string{"fast", "eu"}}, true}, {Need{Tags: []string{"eu", "us"}}, false},
	} {
		if got := Meets(&a, &c.need); got != c.want {
			t.Errorf("%+v: %v", c.need, got)
		}
	}
	silent := directory.Agent{Tags: []string{"eu"}}
	if Meets(&silent, &Need{Target: "esp32"}) || !Meets(&silent, &Need{Tags: []string{"eu"}}) || silent.Status != nil {
		t.Error("an agent that has never polled")
	}
}
