package build

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/proxy-agent/sandbox"
)

func parse(t *testing.T, text string) *Recipe {
	t.Helper()
	r, err := Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func catalog(t *testing.T) *Catalog {
	many := strings.NewReplacer(`"r"`, `"many"`, `["esp32"]`, `["esp32", "esp32c3"]`, `"Makefile"`, `"CMakeLists.txt"`).Replace(minimal)
	many += "[[project.contains]]\nfile = \"CMakeLists.txt\"\ntext = \"idf\"\n"
	gone := strings.NewReplacer(`"r"`, `"gone"`, `"cc"`, `"gonecc"`).Replace(minimal)
	return &Catalog{Entries: []Entry{
		{Recipe: parse(t, gone), Missing: "the command gonecc is missing"},
		{Recipe: parse(t, minimal), Version: "12.2.0"},
		{Recipe: parse(t, many), Version: "5.3.1"},
	}}
}

func TestChoose(t *testing.T) {
	makefile := fstest.MapFS{"Makefile": {Data: []byte("all:")}}
	cmake := fstest.MapFS{"CMakeLists.txt": {Data: []byte("include(idf)")}}
	for _, c := range []struct {
		name    string
		project fstest.MapFS
		want    Want
		recipe  string
		target  string
	}{
		{"by recognition", makefile, Want{}, "r", "esp32"},
		{"by target", cmake, Want{Target: "esp32c3"}, "many", "esp32c3"},
		{"by toolchain", makefile, Want{Toolchain: "cc"}, "r", "esp32"},
		{"by major version", makefile, Want{Toolchain: "cc@12"}, "r", "esp32"},
		{"by whole version", makefile, Want{Toolchain: "cc@12.2.0"}, "r", "esp32"},
		{"by name", makefile, Want{Recipe: "r"}, "r", "esp32"},
	} {
		got, err := catalog(t).Choose(c.project, c.want)
		if err != nil || got.Recipe.Name != c.recipe || got.Target != c.target {
			t.Errorf("%s: got %+v, %v", c.name, got, err)
		}
	}
	for _, c := range []struct {
		name    string
		project fstest.MapFS
		want    Want
		says    string
	}{
		{"unknown project", fstest.MapFS{"main.c": {}}, Want{}, "r looks for a file Makefile"},
		{"text is missing", fstest.MapFS{"CMakeLists.txt": {}}, Want{}, `many looks for "idf" in CMakeLists.txt`},
		{"directory for a file", fstest.MapFS{"Makefile/x": {}}, Want{}, "r looks for a file Makefile"},
		{"target not served", makefile, Want{Target: "esp32p4"}, "r builds for esp32"},
		{"no such toolchain", makefile, Want{Toolchain: "tcc"}, "r uses the toolchain cc"},
		{"other version", makefile, Want{Toolchain: "cc@1"}, "r has version 12.2.0 of cc"},
		{"not here", makefile, Want{Recipe: "gone"}, "gone cannot be used here: the command gonecc is missing"},
		{"which target", cmake, Want{}, "esp32, esp32c3"},
	} {
		got, err := catalog(t).Choose(c.project, c.want)
		var problem *channel.Problem
		if !errors.As(err, &problem) || problem.Code != channel.ProblemNoRecipe || !strings.Contains(strings.Join(problem.Hints, "\n"), c.says) {
			t.Errorf("%s: got %+v, %v, %+v", c.name, got, err, problem)
		}
	}
}

func TestDetect(t *testing.T) {
	replace := func(pairs ...string) *Recipe { return parse(t, strings.NewReplacer(pairs...).Replace(minimal)) }
	version := func(command string) *Recipe {
		return replace(`[["cc", "--version"]]`, command, `["make"]`, `["sh"]`)
	}
	recipes := []*Recipe{
		version(`[["echo", "cc 9.1.2"]]`),
		version(`[["no-such-command"], ["false"], ["echo", "cc 7"]]`),
		version(`[["no-such-command"]]`),
		version(`[["false"]]`),
		version(`[["echo", "cc"]]`),
		replace(`["make"]`, `["no-such-make"]`),
		replace(`name = "cc"`, "name = \"cc\"\nneeds = [\"sh\", \"no-such-tool\"]"),
		replace(`name = "cc"`, "name = \"cc\"\npaths = [\"/no/such/dir\"]"),
	}
	c, err := Detect(t.Context(), sandbox.None{}, recipes)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Entry{
		{Version: "9.1.2"}, {Version: "7"},
		{Missing: "the command no-such-command is missing"},
		{Missing: "false exited with 1"},
		{Missing: `echo cc printed nothing that "([0-9.]+)" matches; it printed "cc"`},
		{Missing: "the command no-such-make is missing"},
		{Missing: "the command no-such-tool is missing"},
		{Missing: "the directory /no/such/dir is missing"},
	} {
		if got := c.Entries[i]; got.Version != want.Version || got.Missing != want.Missing {
			t.Errorf("%d: got %q, %q; want %+v", i, got.Version, got.Missing, want)
		}
	}
	if got := c.Capabilities(); len(got) != 2 || got[0] != (api.Capability{Target: "esp32", Toolchain: "cc", Version: "9.1.2"}) {
		t.Errorf("capabilities %+v", got)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Detect(canceled, sandbox.None{}, recipes); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
