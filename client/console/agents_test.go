package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/client/internal/screen"
	"github.com/farforge/farforge/common/api"
)

// agentNamed returns an idle agent.
func agentNamed(name string) api.AgentInfo {
	return api.AgentInfo{
		Fingerprint: "SHA256:" + name, Name: name, State: api.AgentIdle,
		TotalCores: 8, FreeCores: 8, TotalMemMB: 16384, FreeMemMB: 12800,
	}
}

func like(a api.AgentInfo, change func(*api.AgentInfo)) api.AgentInfo {
	change(&a)
	return a
}

func goesOffline(a *api.AgentInfo) { a.State, a.FreeCores, a.FreeMemMB = api.AgentOffline, 0, 0 }

var farm = []api.AgentInfo{
	like(agentNamed("anvil"), goesOffline),
	like(agentNamed("bench"), func(a *api.AgentInfo) {
		a.State, a.RunningJobs, a.FreeCores, a.FreeMemMB = api.AgentBusy, 2, 4, 512
		a.Capabilities = []api.Capability{{Target: "esp32", Toolchain: "esp-idf", Version: "5.3.1"}, {Target: "esp32", Toolchain: "gcc"}, {Target: "esp32c3", Toolchain: "esp-idf", Version: "5.3.1"}}
		a.Tags = []string{"eu", "fast"}
	}),
	like(agentNamed("æther"), func(a *api.AgentInfo) { *a = api.AgentInfo{Name: a.Name, State: api.AgentOffline} }),
	like(agentNamed("Forge"), func(a *api.AgentInfo) {
		a.Name, a.Version = "For\x1b]0;x\x07ge\n\t1", "\x1b[2J"
		a.Tags = []string{"\x1b[31mred"}
		a.Capabilities = []api.Capability{{Target: "esp\u202e32", Toolchain: "gcc\r", Version: "\u009b12"}}
	}),
}

func show(o Options, l *Listing) (stdout, stderr string) {
	var out, err bytes.Buffer
	o.Stdout, o.Stderr, o.Getenv = &out, &err, os.Getenv
	New(o).Agents(l)
	return out.String(), err.String()
}

func TestAgents(t *testing.T) {
	out, err := show(Options{}, NewListing(farm, true, false))
	want := `NAME     STATE    CORES  MEMORY     JOBS  BUILDS FOR                                   TAGS
Forge 1  idle     8/8    12.5G/16G  0     gcc 12 (esp32)                               red
bench    busy     4/8    512M/16G   2     esp-idf 5.3.1 (esp32, esp32c3), gcc (esp32)  eu,fast
anvil    offline  0/8    0M/16G     0     -                                            -
æther    offline  -      -          0     -                                            -
`
	if out != want || err != "" {
		t.Errorf("got\n%s%swant\n%s", out, err, want)
	}
	if out, err := show(Options{}, NewListing(farm, false, false)); strings.Count(out, "\n") != 3 || strings.Contains(out, "anvil") || err != "2 offline (listed with --all)\n" {
		t.Errorf("without offline agents:\n%s%s", out, err)
	}
	if out, err := show(Options{Quiet: true}, NewListing(nil, false, false)); strings.Count(out, "\n") != 1 || err != "" {
		t.Errorf("quiet:\n%s%s", out, err)
	}
	for _, c := range []struct {
		agents     []api.AgentInfo
		all, asked bool
		want       string
	}{
		{nil, false, false, "no agent is online\n"},
		{nil, true, true, "no online agent matches\n"},
		{farm[:1], false, false, "no agent is online; 1 offline (listed with --all)\n"},
		{farm[:1], true, false, "no agent is online\n"},
	} {
		if _, err := show(Options{}, NewListing(c.agents, c.all, c.asked)); err != c.want {
			t.Errorf("%q, want %q", err, c.want)
		}
	}
}

func TestOfflineAgentsAreGray(t *testing.T) {
	for _, dims := range []bool{true, false} {
		var out bytes.Buffer
		c := New(Options{Stdout: &out, Stderr: io.Discard, Getenv: os.Getenv})
		c.dims = dims
		c.Agents(NewListing(farm, true, false))
		for line := range strings.Lines(out.String()) {
			want := dims && strings.Contains(line, "offline")
			if gray := strings.HasPrefix(line, "\x1b[2m") && strings.HasSuffix(line, "\x1b[0m\n"); gray != want || !want && strings.Contains(line, "\x1b") {
				t.Errorf("dims %v: %q", dims, line)
			}
		}
	}
}

func TestAgentsAsJSON(t *testing.T) {
	out, err := show(Options{JSON: true}, NewListing(farm[:2], false, false))
	want := `{"event":"agent","fingerprint":"SHA256:bench","name":"bench","state":"busy","total_cores":8,"free_cores":4,"total_memory_mb":16384,"free_memory_mb":512,"running_jobs":2,` +
		`"capabilities":[{"target":"esp32","toolchain":"esp-idf","version":"5.3.1"},{"target":"esp32","toolchain":"gcc","version":""},{"target":"esp32c3","toolchain":"esp-idf","version":"5.3.1"}],"tags":["eu","fast"]}` + "\n"
	if out != want || err != "" {
		t.Errorf("got  %s%s\nwant %s", out, err, want)
	}
}

func TestWatchOnAPipe(t *testing.T) {
	var out, err bytes.Buffer
	w := New(Options{Stdout: &out, Stderr: &err, Getenv: os.Getenv}).WatchAgents()
	a, b := agentNamed("a"), agentNamed("b")
	seen := time.Unix(1, 0)
	for _, look := range [][]api.AgentInfo{
		{a}, {a}, {like(a, func(a *api.AgentInfo) { a.LastSeen = &seen })}, // no change
		{a, b},
		{a, like(b, goesOffline)}, {a, like(b, goesOffline)},
		{},
	} {
		w.Show(NewListing(look, false, false))
	}
	w.Close()
	head, line := "NAME  STATE  CORES  MEMORY     JOBS  BUILDS FOR  TAGS\n", "     idle   8/8    12.5G/16G  0     -           -\n"
	want := head + "a" + line + "\n" + head + "a" + line + "b" + line + "\n" + head + "a" + line + "\nNAME  STATE  CORES  MEMORY  JOBS  BUILDS FOR  TAGS\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if got, want := err.String(), "1 offline (listed with --all)\nno agent is online\n"; got != want {
		t.Errorf("said\n%s\nwant\n%s", got, want)
	}
	if *w.Count() != (AgentCount{}) {
		t.Errorf("%+v", w.Count())
	}
}

func TestWatchAsJSON(t *testing.T) {
	var out bytes.Buffer
	w := New(Options{Stdout: &out, Stderr: io.Discard, JSON: true, Getenv: os.Getenv}).WatchAgents()
	a, b, off := agentNamed("a"), agentNamed("b"), like(agentNamed("c"), goesOffline)
	seen := time.Unix(1, 0)
	looks := func(want string, all bool, agents ...api.AgentInfo) {
		t.Helper()
		out.Reset()
		w.Show(NewListing(agents, all, false))
		var got []string
		for d := json.NewDecoder(&out); d.More(); {
			var object struct{ Event, Name string }
			if err := d.Decode(&object); err != nil {
				t.Fatal(err)
			}
			got = append(got, object.Event+" "+object.Name)
		}
		if strings.Join(got, "|") != want {
			t.Errorf("objects %q, want %q", got, want)
		}
	}
	looks("agent a|agent b", false, a, b, off)
	looks("", false, like(a, func(a *api.AgentInfo) { a.LastSeen = &seen }), b, off)
	looks("agent a", false, like(a, func(a *api.AgentInfo) { a.FreeCores-- }), b, off)
	looks("agent a|agent b", false, a, like(b, goesOffline), off) // it is written once more, because it was listed
	looks("agent b", false, a, b, off)
	looks("agent c", true, a, b, off)
	looks("agent_gone a|agent_gone b", true, off)
}

// drawn returns a watch on a screen.
func drawn(t *testing.T, width, height int, o Options) (*AgentWatch, *screen.Screen) {
	t.Helper()
	s := screen.New(width, height)
	o.Stdout, o.Stderr, o.Getenv = s, s, os.Getenv
	c := New(o)
	c.redraws, c.dims = true, true
	w := c.WatchAgents()
	c.block.size = func() (int, int) { return width, height }
	return w, s
}

func TestWatchInPlace(t *testing.T) {
	w, s := drawn(t, 100, 10, Options{})
	fmt.Fprint(s, "$ client agents --watch\n")
	for n := range 12 {
		var agents []api.AgentInfo
		for i := range n {
			agents = append(agents, agentNamed(string(rune('a'+i))))
		}
		w.Show(NewListing(append(agents, like(agentNamed("z"), goesOffline)), n%2 == 0, false))
		if !s.AtRest() {
			t.Fatalf("with %d agents the terminal is not ready for a shell", n)
		}
	}
	want := []string{"NAME  STATE  CORES  MEMORY     JOBS  BUILDS FOR  TAGS"}
	for _, name := range strings.Fields("a b c d e f") {
		want = append(want, name+"     idle   8/8    12.5G/16G  0     -           -")
	}
	want = append(want, "and 5 more", "1 offline (listed with --all)")
	if got := s.String(); got != strings.Join(want, "\n") {
		t.Errorf("the screen has\n%s", got)
	}
	w.Show(NewListing([]api.AgentInfo{agentNamed("a")}, false, false)) // fewer again
	if got := s.String(); got != strings.Join(want[:2], "\n") {
		t.Errorf("then it has\n%s", got)
	}
}

func TestWatchOnSmallTerminals(t *testing.T) {
	farm := append(farm, agentNamed("x"), agentNamed("y"), agentNamed(strings.Repeat("long", 30)))
	for height := 2; height < 14; height++ {
		for _, width := range []int{1, 2, 20, 79, 300} {
			for _, all := range []bool{true, false} {
				w, s := drawn(t, width, height, Options{})
				fmt.Fprint(s, strings.Repeat("\n", height))
				for range 3 {
					w.Show(NewListing(farm, all, false))
					w.Show(NewListing(farm[1:], all, false))
				}
				lines := strings.Split(s.String(), "\n")
				if len(lines) > height-1 || !s.AtRest() {
					t.Errorf("%d×%d:\n%s", width, height, s)
				}
			}
		}
	}
}

func TestLinesAppearAboveTheTable(t *testing.T) {
	w, s := drawn(t, 60, 8, Options{})
	w.c.block.beside = true
	w.Show(NewListing([]api.AgentInfo{agentNamed("a")}, false, false))
	w.c.Say("the broker is away, says a sentence with so many words that the line is longer than the screen is wide")
	w.c.Say("it is back")
	w.Show(NewListing([]api.AgentInfo{agentNamed("a"), agentNamed("b")}, false, false))
	w.Close()
	w.c.Say("the end")
	want := `the broker is away, says a sentence with so many words that
the line is longer than the screen is wide
it is back
NAME  STATE  CORES  MEMORY     JOBS  BUILDS FOR  TAGS
a     idle   8/8    12.5G/16G  0     -           -
b     idle   8/8    12.5G/16G  0     -           -
the end`
	if got := s.String(); got != want {
		t.Errorf("the screen has\n%s", got)
	}
}

func TestWatchAfterAResize(t *testing.T) {
	w, s := drawn(t, 100, 10, Options{})
	width, height := 100, 10
	w.c.block.size = func() (int, int) { return width, height }
	w.Show(NewListing(farm, true, false))
	width, height = 30, 5
	s.Resize(width, height)
	w.Redraw()
	want := "NAME     STATE    CORES  MEMO…\nForge 1  idle     8/8    12.5…\nbench    busy     4/8    512M…\nand 2 more"
	if got := s.String(); got != want {
		t.Errorf("the screen has\n%s", got)
	}
	w.Redraw() // nothing to do
	if got := s.String(); got != want || !s.AtRest() {
		t.Errorf("then it has\n%s", got)
	}
}

// TestTablesFitTheTerminal: no line is wider than the terminal, and nothing is lost.
func TestTablesFitTheTerminal(t *testing.T) {
	many := like(agentNamed("a-machine-with-a-long-name.example.org"), func(a *api.AgentInfo) {
		for _, chip := range []string{"esp32", "esp32c3", "esp32s3", "esp8266"} {
			a.Capabilities = append(a.Capabilities, api.Capability{Target: chip, Toolchain: "esp-idf", Version: "5.3.1"})
		}
		a.Tags = []string{"eu", "reviewed", "fast"}
	})
	explained := [][]string{{"AGENT", "EXPECTED", "WAIT", "BUILD", "SUCCESS", "LOST", "SPEED", "WARM", "LUCK", ""}, {"bench", "61.9 s", "0 s", "1 min", "97 %", "30 s", "×1.00", "×0.40", "×1.05", "relay"}}
	for _, width := range []int{20, 40, 60, 80, 200} {
		for name, groups := range map[string][][]string{
			"agents":    tableWithin(NewListing(append(farm, many), true, false).rows(), width, false, 1, 2, 3, 4),
			"explained": tableWithin(explained, width, true, 1, 2, 3, 4, 5, 6, 7, 8),
		} {
			text := ""
			for _, lines := range groups {
				for _, line := range lines {
					if n := len([]rune(line)); n > width {
						t.Errorf("%s on %d columns: %d in %q", name, width, n, line)
					}
					text += line
				}
			}
			text = strings.NewReplacer(" ", "").Replace(text)
			for _, want := range map[string][]string{"agents": {"reviewed", "12.5G/16G"}, "explained": {"61.9s", "×1.05", "relay"}}[name] {
				if !strings.Contains(text, want) && width >= 40 {
					t.Errorf("%s on %d columns: %q is lost in %q", name, width, want, text)
				}
			}
		}
	}
}
